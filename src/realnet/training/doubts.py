"""Whether a training came far enough for its inspector to be used, told from what the run says of itself."""

from collections.abc import Mapping
from typing import Any

# Fewer good images show too little of what varies; fewer steps, or a smaller share of the planned ones, learn nothing.
FEW_IMAGES, FEW_STEPS, FEW_PLANNED = 20, 50, 0.25
# Image AUROC against synthetic defects: an inspector that cannot tell even these apart will not tell real ones.
POOR_SEPARATION = 0.8


def find_doubts(metrics: Mapping[str, Any]) -> list[str]:
    """Why the inspector with these ``metrics`` (of ``metrics.json``) is not to be relied on: sentences with advice.

    An empty list says only that nothing speaks against it.
    """
    training, validation = metrics.get("training", {}), metrics.get("validation", {})
    said = []
    images = training.get("good_images", 0) + training.get("held_out_images", 0)
    if 0 < images < FEW_IMAGES:
        said.append(
            f"{images} good images are too few to show what varies from part to part, so good parts may be called "
            f"anomalous: give it {FEW_IMAGES} at least, better 100."
        )
    steps, planned = training.get("steps", 0), training.get("planned_steps", 0)
    if planned and steps < max(FEW_STEPS, FEW_PLANNED * planned):
        budget = training.get("time_budget_seconds")
        cause = f": the time budget of {budget:g} s was used up" if budget and steps < planned else ""
        said.append(
            f"It was trained for {steps} of {planned} planned steps only{cause}. "
            f"Give it {'more time' if cause else f'{FEW_STEPS} steps at least'}."
        )
    auroc = validation.get("image_auroc", 1.0)
    if auroc < POOR_SEPARATION:
        said.append(
            f"It hardly tells good images from synthetic defects (image AUROC {auroc:.2f}; 0.5 is guessing): look at "
            "synthetic_defects.png in the run, and at whether the good images all show the product in the same way."
        )
    return said
