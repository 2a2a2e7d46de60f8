import json
import shlex
import sys
from pathlib import Path

import pytest

from realnet.errors import UserError
from realnet.signals import Unreachable, open_sink
from realnet.signals.command import Command, split_line
from tests.signals.receivers import signal


def _line(code: str, *arguments: str) -> str:
    return shlex.join([sys.executable, "-c", code, *arguments])


def test_the_program_gets_the_message_twice_over(tmp_path: Path) -> None:
    out = tmp_path / "a file with $(blanks)"
    code = (
        "import json, os, sys; e = {k: v for k, v in os.environ.items() if k.startswith('REALNET_')};"
        "json.dump([json.load(sys.stdin), e], open(sys.argv[1], 'w'))"
    )
    sink = open_sink("command:" + _line(code, str(out)), {})
    sink.send({**signal(3, "anomalous"), "repeated": True})
    message, environment = json.loads(out.read_text())
    assert message == {**signal(3, "anomalous"), "repeated": True}
    assert environment["REALNET_VERDICT"] == "anomalous" and environment["REALNET_REPEATED"] == "true"
    assert environment["REALNET_IMAGE"] == "3.png" and environment["REALNET_SCORE"] == "0.25"


def test_another_status_and_a_program_that_hangs_are_tried_again() -> None:
    with pytest.raises(Unreachable, match="status 3: no luck"):
        Command(_line("import sys; print('no luck', file=sys.stderr); sys.exit(3)")).send(signal(1))
    with pytest.raises(Unreachable, match="longer than"):
        Command(_line("import time; time.sleep(30)"), seconds=0.3).send(signal(1))


@pytest.mark.parametrize("line", ["", "no-such-program-anywhere", "'half quoted"])
def test_lines_that_are_refused(line: str) -> None:
    with pytest.raises(UserError, match="command:"):
        Command(line)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UserError, match="no receiver of signals"):
        open_sink("kafka://host/topic", {})


@pytest.mark.parametrize(
    ("line", "windows", "words"),
    [
        ("./reject.sh --gate 2 'a b'", False, ["./reject.sh", "--gate", "2", "a b"]),
        (r"C:\line\reject.exe --gate 2", True, [r"C:\line\reject.exe", "--gate", "2"]),
        (r'"C:\Program Files\reject.exe" --part "a b"', True, [r"C:\Program Files\reject.exe", "--part", "a b"]),
    ],
)
def test_lines_are_split_as_on_each_system(line: str, windows: bool, words: list[str]) -> None:
    assert split_line(line, windows) == words
