"""How the lab is shown in a terminal."""

from rich.markup import escape
from rich.status import Status

from realnet.cli.console import console
from realnet.evaluation.results import METRICS
from realnet.lab.cells import Cell
from realnet.lab.columns import COLUMNS
from realnet.lab.runner import Finished, Observer


class LabBar(Observer):
    """Prints a line an entry, and shows what the running cell says."""

    def __init__(self) -> None:
        self.display = Status("", console=console)

    def starts(self, cell: Cell) -> None:
        """A cell begins."""
        self.display.update(escape(cell.name))

    def says(self, cell: Cell, line: str, seconds: float) -> None:
        """Its newest line."""
        self.display.update(escape(f"{cell.name}, {seconds:.0f} s: {line[:100]}"))

    def ends(self, finished: Finished, done: int, total: int, fresh: bool) -> None:
        """A line with the figures, or with why there are none."""
        entry = finished.entry
        what = f"{done}/{total}  {entry.product}, {entry.row.name}, seed {entry.seed}: "
        if finished.outcome is None:
            what += f"failed. {finished.failure}"
        else:
            what += _figures(finished) + ("" if fresh else "  (done before)")
        console.print(what, highlight=False, markup=False, soft_wrap=True)


def _figures(finished: Finished) -> str:
    outcome = finished.outcome
    if outcome is None:
        return ""
    if outcome.results is None:
        return ", ".join(f"{name} {COLUMNS[name].text(value)}" for name, value in outcome.measured.items()) or "done"
    shown = [
        (METRICS[name].title, outcome.results.overall.text(name)) for name in ("image_auroc", "pixel_auroc", "pro")
    ]
    return ", ".join(f"{title} {text}" for title, text in shown if text != "–")
