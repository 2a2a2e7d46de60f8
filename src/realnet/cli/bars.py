"""A bar for work whose pieces are counted: how many are done, how fast, and the time that is left."""

import contextlib
from collections.abc import Iterator

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from realnet.cli.console import console


class _Done(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = "" if task.total is None else f" of {task.total:,.0f}"
        speed = "" if not task.speed else f", {task.speed:.1f}/s"
        return Text(f"{task.completed:,.0f}{total}{speed}")


@contextlib.contextmanager
def counting(what: str, total: int | None) -> Iterator[Progress]:
    """A bar with one task, called ``what``; ``total`` None: nobody knows of how many."""
    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(), _Done(), TimeElapsedColumn()]
    if total is not None:
        columns += [TextColumn("left:"), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True) as shown:
        shown.add_task(what, total=total)
        yield shown
