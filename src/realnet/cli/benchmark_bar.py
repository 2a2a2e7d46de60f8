"""How a benchmark is shown in a terminal."""

from rich.markup import escape
from rich.status import Status

from realnet.benchmark.columns import COLUMNS
from realnet.benchmark.jobs import Job, Outcome
from realnet.benchmark.runner import Finished, Observer
from realnet.cli.console import console, say
from realnet.evaluation.results import METRICS


class BenchmarkBar(Observer):
    """Prints a line an entry, and shows what the running job says."""

    def __init__(self) -> None:
        self.display = Status("", console=console)

    def starts(self, job: Job) -> None:
        """A job begins."""
        self.display.update(escape(job.name))

    def says(self, job: Job, line: str, seconds: float) -> None:
        """Its newest line."""
        self.display.update(escape(f"{job.name}, {seconds:.0f} s: {line[:100]}"))

    def ends(self, finished: Finished, done: int, total: int) -> None:
        """A line with the figures, or with why there are none."""
        entry, outcome = finished.entry, finished.outcome
        what = f"failed. {finished.failure}" if outcome is None else _figures(outcome)
        before = "" if outcome is None or finished.fresh else "  (done before)"
        say(f"{done}/{total}  {entry.product}, {entry.row.name}, seed {entry.seed}: {what}{before}")


def _figures(outcome: Outcome) -> str:
    if outcome.results is None:
        return ", ".join(f"{name} {COLUMNS[name].text(value)}" for name, value in outcome.measured.items()) or "done"
    texts = {METRICS[name].title: outcome.results.overall.text(name) for name in ("image_auroc", "pixel_auroc", "pro")}
    return ", ".join(f"{title} {text}" for title, text in texts.items() if text != "–")
