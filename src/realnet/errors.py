"""The one exception a user is meant to see, and how it names many things."""

from collections.abc import Sequence
from typing import Any

# Of many things that are wrong.
_MOST_SHOWN = 20


class UserError(Exception):
    """A mistake of the user's: the message says what is wrong, where, and what to do.

    The command line prints the message without a traceback and exits with status 2.

    Args:
        message: of one or more sentences.
        command: the message where the command line is to advise an option, and ``message`` an argument of Python.
    """

    def __init__(self, message: str, command: str | None = None) -> None:
        super().__init__(message)
        self.command = message if command is None else command


class NotFiled(UserError):
    """Figures are not filed under the run that gave them, for ``reason``; ``results`` holds them all the same."""

    def __init__(self, reason: str, results: Any) -> None:
        unfiled, files_them = f"{reason} The figures are not filed under the run;", "files them, with a mark."
        super().__init__(f"{unfiled} force=True {files_them}", f"{unfiled} --force {files_them}")
        self.results = results


def advise(problem: str, python: str, command: str) -> UserError:
    """A mistake whose remedy is written otherwise in Python than on the command line."""
    return UserError(f"{problem} {python}", f"{problem} {command}")


def listed(names: Sequence[object], most: int = 5) -> str:
    """The first ``most`` of these, and how many more there are."""
    shown = ", ".join(map(str, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def plural(count: int, noun: str) -> str:
    """``count`` and what is counted: 1 image, 2 images."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def raise_problems(problems: Sequence[str]) -> None:
    """Raise a `UserError` of these sentences, one a line, the first 20; none: nothing."""
    if not problems:
        return
    lines = list(problems[:_MOST_SHOWN])
    if len(problems) > _MOST_SHOWN:
        lines.append(f"And {len(problems) - _MOST_SHOWN} more things are wrong.")
    raise UserError("\n".join(lines))
