"""Which strength to choose: what a detector says of samples at growing strength."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realnet.inspection.inspection import Inspection
from realnet.inspection.inspector import Inspector
from realnet.inspection.overlay import overlay


@dataclass(frozen=True)
class StrengthResponse:
    """A detector's response to samples of one strength: mean score, and the share above its threshold (0..1)."""

    strength: float
    mean_score: float
    share_above: float


def respond(
    inspector: Inspector, columns: Sequence[Sequence[np.ndarray]], strengths: Sequence[float]
) -> tuple[list[StrengthResponse], list[list[np.ndarray]]]:
    """Judge samples uint8 ``[S, S, 3]``, a column a strength: the responses, and overlays in the same columns."""
    responses, overlays = [], []
    for strength, column in zip(strengths, columns, strict=True):
        judged: list[Inspection] = list(inspector.inspect_many(column))
        scores = np.array([inspection.score for inspection in judged])
        above = float(np.mean([inspection.is_anomalous for inspection in judged]))
        responses.append(StrengthResponse(strength, float(scores.mean()), above))
        overlays.append([overlay(i.image, i.anomaly_map, max(2 * i.pixel_threshold, 1e-3)) for i in judged])
    return responses, overlays


def advice(responses: Sequence[StrengthResponse]) -> str:
    """Which strengths to train with, in a sentence.

    Anomalies should be there but not all be obvious: from the first strength of which a tenth more is found than of
    s = 0 to the first of which nine tenths are.
    """
    ordered = sorted(responses, key=lambda response: response.strength)
    base = ordered[0].share_above
    if base > 0.5:
        return (
            f"{base:.0%} of the images at s = {ordered[0].strength:g} are already found: the model's own flaws show; "
            "train it longer before choosing a strength."
        )
    low = next((r for r in ordered[1:] if r.share_above >= base + 0.1), None)
    if low is None:
        return f"Hardly any image is found up to s = {ordered[-1].strength:g}: look at larger strengths too."
    high = next((r for r in ordered[1:] if r.share_above >= 0.9), ordered[-1])
    return (
        f"At s = {low.strength:g} {low.share_above:.0%} of the images are found, at s = {high.strength:g} "
        f"{high.share_above:.0%}: --strength {low.strength:g}:{high.strength:g} is a start. The paper takes 0.1:0.2."
    )
