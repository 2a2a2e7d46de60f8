"""The model card of a run: what it is, what it was trained on, what its figures mean."""

from collections.abc import Mapping
from typing import Any

from realnet.config import Config

_CARD = """# RealNet inspector: {products}

Trained by `realnet train` with preset `{preset}`, seed {seed}, on {good} good images ({held_out} more held out).
It gives a good/anomalous verdict and an anomaly map of images of the same product, taken in the same way.

| | |
|---|---|
| backbone | {backbone} (frozen), image size {size} x {size} |
| synthetic defects | {synthesis} |
| image score | {score} |
| steps | {steps} of {planned} planned, best at {best}, {seconds} s |
| backbone weights | {weights} |
| threshold | {threshold} |
| validation image AUROC | {auroc:.3f}: {meaning} |
| hardware | {hardware} |

Load it with `realnet.load("THIS FOLDER").inspect("image.png")` or `realnet inspect THIS_FOLDER IMAGES --output DIR`.

**Limits.** {seen} Calibrate again (`realnet calibrate`) when camera, light or
product change. Figures on real test images, where some were evaluated, are in `metrics.json`.
The weights include the backbone's ImageNet weights, whose licence applies to them.
"""


def model_card(config: Config, metrics: Mapping[str, Any]) -> str:
    """Markdown text for the run's README."""
    training, threshold, validation = metrics["training"], metrics["threshold"], metrics["validation"]
    return _CARD.format(
        products=", ".join(training["categories"]),
        preset=config.preset,
        seed=config.seed,
        good=training["good_images"],
        held_out=training["held_out_images"],
        backbone=config.model.backbone.name,
        size=config.model.image_size,
        synthesis=config.synthesis.source,
        score=config.model.image_score,
        steps=training["steps"],
        planned=training["planned_steps"],
        best=training["best_step"],
        seconds=training["seconds"],
        threshold=_threshold(threshold),
        weights=metrics["provenance"]["backbone_weights"],
        auroc=validation["image_auroc"],
        meaning=validation["meaning"],
        hardware=metrics["provenance"]["hardware"],
        seen="It has seen no real defect."
        if config.training.select != "oracle"
        else "Its state was chosen by the TEST images (oracle): figures on them flatter it.",
    )


def _threshold(threshold: Mapping[str, Any]) -> str:
    alarms = threshold["expected_false_alarms_at_most"]
    promise = (
        f"a further good image exceeds it with probability at most {alarms:.1%}"
        if alarms < 1
        else "further good images may exceed it more often"
    )
    return f"{threshold['score']:.4f} (calibration {threshold['calibration']}): {threshold['rule']}; {promise}"
