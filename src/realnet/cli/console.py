"""Where the commands print: answers to standard output, mistakes and warnings to standard error."""

from rich.console import Console

# Names of files may hold brackets and colons: they are printed as they are.
console = Console(markup=False, emoji=False)
errors = Console(stderr=True, markup=False, emoji=False)


def say(*sentences: str) -> None:
    """Print sentences of the answer, a line each, as they are."""
    console.print("\n".join(sentences), soft_wrap=True, markup=False, highlight=False)


def warn(sentence: str) -> None:
    """Print what a person should look at, on standard error."""
    errors.print(sentence, style="yellow", markup=False, highlight=False, soft_wrap=True)


def plural(count: int, noun: str, many: str | None = None) -> str:
    """``count`` and what is counted: 1 image, 2 images; ``many`` where an s is not enough."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
