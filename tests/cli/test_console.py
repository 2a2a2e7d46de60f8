"""What is printed: names as they are, but harmless to a terminal, and commands that can be copied."""

import shlex
import sys
from pathlib import Path

import pytest

from realnet.cli.console import errors, say, warn
from realnet.files import quoted


def test_a_name_of_a_file_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[31m[red].jpg", "ä 良品 🙂 :smile:")
    warn("b\x1b]0;title\x07\x9b31m.jpg")
    errors.print("two\nlines")
    shown = capsys.readouterr()
    assert shown.out == "a?[31m[red].jpg\nä 良品 🙂 :smile:\n"
    assert shown.err == "b?]0;title??31m.jpg\ntwo\nlines\n"


@pytest.mark.parametrize("name", ["runs/part", "runs/My Part", "r [b]ü", "it's", "$HOME"])
def test_a_path_in_a_command_is_one_word(name: str) -> None:
    if sys.platform != "win32":
        assert shlex.split(f"realnet info {quoted(Path(name))}") == ["realnet", "info", name]
    assert quoted("runs/part") == "runs/part"
