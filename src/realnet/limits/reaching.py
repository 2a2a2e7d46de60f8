"""What a trained run finds of what it was to find, and the threshold that takes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from realnet.calibration import Calibration, with_threshold
from realnet.calibrations import install
from realnet.data import Sample
from realnet.data.samples import spread
from realnet.inspection.inspector import trained_inspector
from realnet.limits.asked import named
from realnet.limits.counted import Cell, Found
from realnet.limits.drawn import Wanted
from realnet.limits.measuring import measure_drawn, read_to_draw_on, scorer_of
from realnet.progress import Watcher
from realnet.provenance import timestamp
from realnet.run_folder import Run

# Drawn of each: half of them set the threshold, the other half say what it finds.
EACH = 59
MOST_FALSE_ALARMS = 0.05
"""The threshold is lowered as far as this for what is to be found, unless a rate of false alarms was asked for."""


def reach(
    run: Path, samples: Sequence[Sample], wanted: Sequence[Wanted], asked: str | float | None, watcher: Watcher
) -> list[str]:
    """Measure what a finished run finds of what is wanted, lower its threshold where that helps, and say so.

    Defects are drawn on the good images of the training, ``samples``, and judged by the finished run. That it knows
    these images makes their scores, with or without a defect, rather lower than those of others; subspaces fitted
    without them, as the threshold rests on, would find more than the run does. ``asked`` is the rate of false alarms
    that a person asked for, which is kept to; None: up to :data:`MOST_FALSE_ALARMS` may be risked.
    """
    calibration = Run(run).calibration
    assert calibration is not None, "every training calibrates"
    chosen, judged = _drawn_and_judged(run, samples, wanted, watcher)
    needed = min(_needed(cell) for cell in chosen)
    found = [cell.at(calibration.score) for cell in judged]
    if needed >= calibration.score or all(one.reliable for one in found):
        return _said(found, calibration)
    lowered = with_threshold(
        calibration, needed, f"The threshold was lowered to find {named(wanted)} (--find).",
        timestamp(),
    )  # fmt: skip
    if asked is not None or lowered.promised > MOST_FALSE_ALARMS:
        return [*_said(found, calibration), _beyond(needed, calibration)]
    made = install(run, lowered)
    return [*_said([cell.at(needed) for cell in judged], made), *made.sentences()]


def _drawn_and_judged(
    run: Path, samples: Sequence[Sample], wanted: Sequence[Wanted], watcher: Watcher
) -> tuple[list[Cell], list[Cell]]:
    """Scores of what is wanted, twice: to choose a threshold by, and to say what it finds."""
    judge = trained_inspector(Run(run), "cpu")
    files = [samples[i].image for i in spread(len(samples), 2 * EACH)]
    good, _ = read_to_draw_on(judge, files, watcher)
    cells = measure_drawn(scorer_of(judge), good, wanted, each=2 * EACH, seed=judge.config.seed + 1, watcher=watcher)
    first, second = (
        [cell.model_copy(update={"scores": cell.scores[half], "places": cell.places[half]}) for cell in cells]
        for half in (slice(None, EACH), slice(EACH, None))
    )
    return first, second


def _needed(cell: Cell) -> float:
    """The highest threshold that finds ``cell`` reliably, to the fifth decimal."""
    ranked = sorted(cell.scores, reverse=True)
    least = next(
        n for n in range(1, len(ranked) + 1) if Found(cell.kind, cell.size, cell.depth, n, len(ranked)).reliable
    )
    return max(0.0, float(np.floor(ranked[least - 1] * 1e5 - 1e-9) / 1e5))


def _said(found: Sequence[Found], calibration: Calibration) -> list[str]:
    said = []
    for one in found:
        least = "nine of ten" if one.reliable else f"{100 * one.at_least:.0f}%"
        said.append(
            f"Of {one.of} drawn defects ({named([one])}) {one.found} are found at {calibration.score:.4f}: {least} at "
            "least, with 95% confidence."
        )
    return said


def _beyond(needed: float, calibration: Calibration) -> str:
    """What the threshold that is ``needed`` would cost."""
    rate = float(np.mean([score > needed for score in calibration.good_scores]))
    if rate >= 0.5:
        return "No threshold finds nine of ten without rejecting most good images: they must be larger in the image."
    return (
        f"To find nine of ten the threshold would have to be {needed:.4f}, above which "
        f"{100 * rate:.1f}% of the good images are: train with more of them, or allow that with --false-alarms."
    )
