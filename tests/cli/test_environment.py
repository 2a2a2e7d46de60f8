"""What the command line asks of libraries through the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    # The tensor takes 128 MiB.
    assert (int(done.stdout) > 64 * 1024) == huge
