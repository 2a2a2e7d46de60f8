"""Where the commands print: answers to standard output, mistakes and warnings to standard error."""

from rich.console import Console

console = Console()
errors = Console(stderr=True)


def plural(count: int, noun: str, many: str | None = None) -> str:
    """``count`` and what is counted: 1 image, 2 images; ``many`` where an s is not enough."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
