"""Where the commands print: answers to standard output, mistakes and warnings to standard error."""

import re
from typing import Any

from rich.console import Console

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """``text`` with ? for what a terminal would obey, such as escape sequences in the name of a file."""
    return _CONTROL.sub("?", text)


class _Console(Console):
    """Prints text as it is but for control characters; what is no text is left to rich."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(harmless(one) if isinstance(one, str) else one for one in objects), **options)


# Names of files may hold brackets and colons: they are printed as they are.
console = _Console(markup=False, emoji=False)
errors = _Console(stderr=True, markup=False, emoji=False)


def say(*sentences: str) -> None:
    """Print sentences of the answer, a line each, as they are."""
    for sentence in sentences:
        console.print(sentence, soft_wrap=True, highlight=False)


def warn(sentence: str) -> None:
    """Print what a person should look at, on standard error."""
    errors.print(sentence, style="yellow", highlight=False, soft_wrap=True)


def complain(sentence: str) -> None:
    """Print what is wrong, on standard error."""
    errors.print(sentence, style="red", highlight=False, soft_wrap=True)
