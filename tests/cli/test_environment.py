"""What the command line asks of libraries through the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from realnet.cli.app import prepare_environment

GRANTED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
SCRIPT = """
from realnet.cli.app import prepare_environment
prepare_environment()
import torch
kept = torch.ones(2**25)
with open("/proc/self/smaps_rollup") as stream:
    print(next(line.split()[1] for line in stream if line.startswith("AnonHugePages")))
"""


@pytest.mark.skipif(
    not GRANTED.is_file() or "[never]" in GRANTED.read_text(), reason="this system grants no huge pages"
)
@pytest.mark.parametrize(("chosen", "huge"), [(None, True), ("0", False)])
def test_tensors_lie_in_huge_pages_unless_the_user_says_no(chosen: str | None, huge: bool) -> None:
    if not huge and "[always]" in GRANTED.read_text():
        pytest.skip("huge pages are given unasked here")
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    if chosen is not None:
        environment["THP_MEM_ALLOC_ENABLE"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment, timeout=300
    )
    # The tensor takes 128 MiB.
    assert (int(done.stdout) > 64 * 1024) == huge


def test_threads_wait_without_spinning_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for given, expected in ((others, "PASSIVE"), ({**others, "OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        monkeypatch.setattr(os, "environ", dict(given))
        prepare_environment()
        assert os.environ["OMP_WAIT_POLICY"] == expected
