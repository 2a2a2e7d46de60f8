"""A threshold without defects: from the scores of good images, with what it promises and how surely."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from realnet.atomic import write_text
from realnet.config import DiscriminatorKind, Node
from realnet.errors import UserError
from realnet.overriding import reading

CALIBRATION_FILE, CALIBRATIONS_FOLDER = "calibration.json", "calibrations"
CONFIDENCE = 0.95
UNKNOWN_SCORE = 1.0
"""The score of an image of another product, where the discriminator's kind is ``evidence``; no other image has it."""
HIGHEST_KNOWN = 1.0 - 1e-6
"""The highest score of an image of the product there."""
# Below this the recent scores would not come from the calibrated distribution by chance in a lifetime of checks.
_DRIFT_P = 1e-4
_DRIFT_IMAGES = 20
# Of fewer good images none is called odd.
_ODD_IMAGES = 8
_MOST_ODD = 10
# A modified z-score from which on it is: what its authors recommend.
_FAR = 3.5
# Scores are compared to this precision: programs differ in the last digits of one image's score.
_STEP = 1e-5


def score_threshold(good_scores: Sequence[float], false_alarms: float) -> tuple[float, float]:
    """The lowest score of n good images that promises at most ``false_alarms``, and what it promises.

    Of n exchangeable good scores and a further one, that one exceeds the k-th smallest with probability at most
    (n + 1 - k) / (n + 1) (split conformal prediction, Vovk et al. 2005). Where n is too small for the promise, the
    highest score is taken, and the rate returned is larger than the one asked for.
    """
    n, k = len(good_scores), rank_of_threshold(len(good_scores), false_alarms)
    return float(sorted(good_scores)[k - 1]), (n + 1 - k) / (n + 1)


def rank_of_threshold(n: int, false_alarms: float) -> int:
    """Which of ``n`` sorted good scores (1 .. n) is the threshold for ``false_alarms``."""
    return min(n, math.ceil((n + 1) * (1 - false_alarms) - 1e-9))


def confident_rate(n: int, k: int) -> float:
    """What the rate of false alarms hardly exceeds (:data:`CONFIDENCE`) where the k-th of n scores is the threshold.

    That rate is distributed as Beta(n + 1 - k, k) over draws of the n images; ties of scores only lower it.
    """
    from scipy.special import betaincinv  # scipy.stats takes seconds to load

    return float(betaincinv(n + 1 - k, k, CONFIDENCE))


def images_needed(false_alarms: float, confidence: float | None = None) -> int:
    """How many good images it takes to promise ``false_alarms`` on average, or with ``confidence``."""
    if confidence is None:
        return math.ceil(1 / false_alarms - 1 - 1e-9)
    return math.ceil(math.log(1 - confidence) / math.log1p(-false_alarms) - 1e-9)


def pixel_threshold(maps: np.ndarray, kind: DiscriminatorKind = "paper") -> float:
    """From where on a pixel is outlined: what one in a thousand pixels of good images' ``maps`` exceeds.

    Never above 0.5, the discriminator's own boundary, nor below 0.2 (``evidence``, whose maps are smoother: 0.4), where
    an outline would follow a defect's halo.
    """
    return float(np.clip(np.quantile(maps, 0.999), 0.4 if kind == "evidence" else 0.2, 0.5))


def level(score: float, threshold: float) -> float:
    """A score in 0..1 on a scale on which the threshold is 0.5; straight lines on either side, order is kept.

    Equal to the threshold, and so not above it, is 0.5 exactly; above it is more than 0.5 whenever floats can say so.
    """
    if score <= threshold:
        return 0.5 * (score / threshold) if threshold > 0 else 0.5
    return 0.5 + 0.5 * (score - threshold) / (1 - threshold)


class Calibration(Node):
    """What the thresholds of a run rest on; saved as ``calibration.json``.

    Attributes:
        score: threshold of the image score; ``pixel`` of the anomaly map.
        asked: the rate of false alarms that was asked for.
        promised: the rate on average over draws of the images, at most; ``confident``: with ``confidence``, at most.
            Both are 1 where nothing is promised.
        good_scores: sorted; drift is measured against them.
        good_names: of the images that have these scores, in their order; empty where they are not known.
        confirmed: names of good images that a person has looked at and called good: these are not named as odd.
        good_digests: of their pixels, in the order of the scores; empty where they are the images of the training.
        seen: how many of them had been trained on, and so score lower than others would.
        defects_found: share of held-out synthetic defects above the threshold; None where there were none.
        source: which good images, in words.
        date: when, ISO 8601.
        version: 1 for that of the training, then counted up.
        before: the version that this one took the place of.
        taught: the version of what the run was taught that these scores are of; None: as it was trained.
        note: of a threshold that was moved by hand: who did it, and why.
        defect_scores: of held-out synthetic defects, sorted.
    """

    score: float = Field(ge=0, le=1)
    pixel: float = Field(ge=0, le=1)
    asked: float = Field(gt=0, lt=1)
    promised: float = Field(ge=0, le=1)
    confident: float = Field(ge=0, le=1)
    confidence: float = CONFIDENCE
    good_scores: tuple[float, ...] = Field(min_length=1)
    good_names: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    good_digests: tuple[str, ...] = ()
    seen: int = Field(default=0, ge=0)
    defects_found: float | None = None
    source: str
    date: str
    version: int = Field(default=1, ge=1)
    before: int | None = Field(default=None, ge=1)
    taught: int | None = Field(default=None, ge=1)
    note: str = ""
    defect_scores: tuple[float, ...] = ()

    def sentences(self) -> list[str]:
        """What the threshold promises, for people; and what it cannot promise, and what that would take."""
        n = len(self.good_scores)
        known = "all" if self.seen == n else f"{self.seen}"
        promise = (
            f"{known} of them were trained on, and others score higher, so it promises nothing. Set it with `realnet "
            "calibrate` on further good images, or hold some out (training.validation_share=0.1)."
            if self.seen
            else f"of further good ones at most {self.promised:.2%} are rejected on average, and with "
            f"{self.confidence:.0%} confidence at most {self.confident:.2%}."
        )
        said = [f"Threshold {self.score:.4f} from {n} {self.source}: {promise}"]
        if self.note:
            said.append(self.note)
        if self.promised > self.asked * (1 + 1e-9) and not self.seen:
            said.append(
                f"{100 * self.asked:.4g}% false alarms cannot be promised with {n} images: it takes "
                f"{images_needed(self.asked):,}, and {images_needed(self.asked, self.confidence):,} to promise it with "
                f"{self.confidence:.0%} confidence."
            )
        if odd := self.describe_odd():
            said.append(odd)
        if self.defects_found is not None:
            said.append(
                f"Of {'' if self.seen else 'held-out '}synthetic defects, many of them faint, {self.defects_found:.0%} "
                "are above it; how many real ones are, only real ones can show."
            )
        return said

    def describe_odd(self, run: str = "this run") -> str:
        """What is said of the good images that score far above the others, and done in ``run``; empty without any."""
        odd = self.odd()
        if not odd:
            return ""
        one = len(odd) == 1
        name, look = (odd[0], "look at it. If it is") if one else ("NAME", "look at them. If one is")
        said = f"{', '.join(odd)} score{'s' * one} far above the other good images: {look} not good, "
        if self.good_digests:
            return f"{said}calibrate again without it; if it is, `realnet teach` with --keep {name} says so, for {run}."
        return (
            f"{said}--exclude {name} leaves it out; if it is, --keep {name} says so (`realnet teach` for {run}, "
            "`realnet train` for a new one)."
        )

    def odd(self) -> list[str]:
        """Names of the good images that score far above the others, the highest first; at most ten.

        Far is a modified z-score above 3.5 (:func:`far_above`) of the scores' logits. What a person called good is not
        named.
        """
        if len(self.good_names) != len(self.good_scores) or len(self.good_scores) < _ODD_IMAGES:
            return []
        inside = np.clip(self.good_scores, 1e-7, 1 - 1e-7)
        logits = np.log(inside / (1 - inside))
        far = [name for name, above in zip(self.good_names, far_above(logits, _FAR), strict=True) if above]
        return [name for name in far if name not in self.confirmed][: -_MOST_ODD - 1 : -1]

    def with_confirmed(self, names: Iterable[str]) -> "Calibration":
        """This calibration where a person has looked at the good images ``names`` and called them good."""
        return self.model_copy(update={"confirmed": tuple(sorted({*self.confirmed, *names}))})


def far_above(values: np.ndarray, limit: float) -> np.ndarray:
    """Which of ``values`` have a modified z-score (Iglewicz & Hoaglin 1993), by median and MAD, above ``limit``."""
    median = np.median(values)
    deviation = 1.4826 * max(np.median(np.abs(values - median)), 1e-3)
    return np.asarray(values > median + limit * deviation)


def calibrate(
    good_scores: Sequence[float],
    pixel: float,
    false_alarms: float,
    source: str,
    date: str,
    defect_scores: Sequence[float] = (),
    names: Sequence[str] = (),
    seen: int = 0,
) -> Calibration:
    """The calibration to ``good_scores``, in any order, for a rate of ``false_alarms``; ValueError without a score.

    The threshold is the order statistic rounded up to the fifth decimal, so that an image with the very score, by
    another program or as part of another batch, is good as well. ``pixel`` is the threshold of the anomaly map; the
    others are as of :class:`Calibration`, ``names`` in the order of the scores.
    """
    if not good_scores:
        raise ValueError("a calibration needs at least one good score")
    threshold, promised = score_threshold(good_scores, false_alarms)
    threshold = _rounded_up(threshold)
    order = np.argsort(np.asarray(good_scores), kind="stable")
    n = len(good_scores)
    return Calibration(
        score=threshold,
        pixel=pixel,
        asked=false_alarms,
        promised=1.0 if seen else promised,
        confident=1.0 if seen else confident_rate(n, rank_of_threshold(n, false_alarms)),
        good_scores=tuple(float(good_scores[i]) for i in order),
        good_names=tuple(names[i] for i in order) if names else (),
        defects_found=share_above(defect_scores, threshold),
        seen=seen,
        source=source,
        date=date,
        defect_scores=tuple(sorted(float(score) for score in defect_scores)),
    )


def share_above(scores: Sequence[float], threshold: float) -> float | None:
    """How many of ``scores`` exceed ``threshold``, 0..1; None of none."""
    return float(np.mean([score > threshold for score in scores])) if len(scores) else None


def with_threshold(calibration: Calibration, threshold: float, note: str, date: str) -> Calibration:
    """``calibration`` with a threshold 0..1 that a person chose, as ``note`` says, and what it promises."""
    n, below = len(calibration.good_scores), sum(score <= threshold for score in calibration.good_scores)
    return calibration.model_copy(
        update={
            "score": threshold,
            "promised": 1.0 if calibration.seen else (n + 1 - below) / (n + 1),
            "confident": confident_rate(n, below) if below and not calibration.seen else 1.0,
            "defects_found": share_above(calibration.defect_scores, threshold),
            "note": note,
            "date": date,
        }
    )


def _rounded_up(score: float) -> float:
    rounded = round(math.ceil(score / _STEP - 1e-9) * _STEP, 5)  # 0.30294, not 0.30294000000000004
    # Near 1 the step would leave no room for defects.
    return rounded if 1 - score > 100 * _STEP else score


def save_calibration(run: Path, calibration: Calibration) -> None:
    """Write ``calibration.json`` of the run or export, and a copy as ``calibrations/NNNN.json``, which stays."""
    text = calibration.to_json()
    write_text(version_file(run, calibration.version), text)
    write_text(run / CALIBRATION_FILE, text)


def version_file(run: Path, version: int) -> Path:
    """Where a version of the run's calibration is kept."""
    return run / CALIBRATIONS_FOLDER / f"{version:04d}.json"


def read_calibration(run: Path) -> Calibration | None:
    """The calibration of a run; None where it has none, as of an import; UserError where the file is damaged."""
    path = run / CALIBRATION_FILE
    return read_version(path) if path.is_file() else None


def read_version(path: Path) -> Calibration:
    """One calibration file; UserError where it is damaged."""
    with reading(path, "restore it, or `realnet calibrate` makes it anew"):
        return Calibration.model_validate_json(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Drift:
    """How far recent scores are from the calibrated ones.

    ``distance`` is the largest difference of the two distribution functions (Kolmogorov-Smirnov), 0..1, ``p_value``
    how probable one so large is by chance, ``higher`` whether the recent scores are the higher ones.
    """

    distance: float
    p_value: float
    images: int
    higher: bool

    @property
    def warns(self) -> bool:
        """Whether the distribution has left the calibrated one; never on fewer than 20 images."""
        return self.images >= _DRIFT_IMAGES and self.p_value < _DRIFT_P

    def sentence(self) -> str:
        """What is to be done about it."""
        direction = "higher" if self.higher else "lower"
        return (
            f"The scores of the last {self.images} images are {direction} than those of the good images that the "
            f"threshold rests on (Kolmogorov-Smirnov distance {self.distance:.2f}, p = {self.p_value:.1g}): light, "
            "camera or product may have changed. Look at them; if they are good, run `realnet calibrate` on such "
            "images, or train again."
        )


def drift(good_scores: Sequence[float], recent: Sequence[float]) -> Drift:
    """Compare ``recent`` scores with the calibrated ``good_scores``; ValueError where either is empty."""
    from scipy.stats import ks_2samp

    if not len(good_scores) or not len(recent):
        raise ValueError("drift needs scores on both sides")
    found: Any = ks_2samp(good_scores, recent)
    # The sign is that of the distribution function at the largest difference: higher scores lag behind.
    return Drift(float(found.statistic), float(found.pvalue), len(recent), int(found.statistic_sign) > 0)


def describe_drift(calibration: Calibration | None, recent: Sequence[float]) -> list[str]:
    """A sentence where ``recent`` scores have left the calibrated ones; none without a calibration or scores."""
    found = drift(calibration.good_scores, recent) if calibration is not None and recent else None
    return [found.sentence()] if found is not None and found.warns else []


def rate(text: str) -> float:
    """A rate as people write it: ``0.1%``, ``2 %`` or ``0.001``; UserError for anything else, or outside 0..1."""
    plain = text.strip()
    try:
        value = float(plain[:-1].strip()) / 100 if plain.endswith("%") else float(plain)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise UserError(f"{text!r} is no rate of false alarms: write 1%, 0.1% or 0.001.")
    return value
