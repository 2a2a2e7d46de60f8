"""Whether a training came far enough for its inspector to be used, told from what the run says of itself."""

from realnet.record import METRICS_FILE, Record
from realnet.run_folder import Run

# Fewer good images show too little of what varies; fewer steps, or a smaller share of the planned ones, learn nothing.
FEW_IMAGES, FEW_STEPS, FEW_PLANNED = 20, 50, 0.25
# Image AUROC against synthetic defects: an inspector that cannot tell even these apart will not tell real ones. A
# subspace is measured on faint ones: inspectors of five good images and more have 0.66 to 0.94, one of pictures that
# have nothing in common 0.58 (benchmarks/TRIALS.md).
POOR_SEPARATION, POOR_ON_FAINT = 0.8, 0.62


def doubts_of(run: Run) -> list[str]:
    """As :func:`find_doubts`, of a run as it is in force; of several products of each, which is named."""
    if run.members:
        return [f"{member.folder.name}: {said}" for member in run.members for said in doubts_of(member)]
    if not (run.folder / METRICS_FILE).is_file():  # not finished, or an export
        return []
    good = len(run.calibration.good_scores) if run.calibration is not None and run.taught is not None else None
    return find_doubts(run.record, good)


def find_doubts(record: Record, good: int | None = None) -> list[str]:
    """Why the inspector of which this is the ``record`` is not to be relied on: sentences with advice.

    ``good`` is the number of good images that it rests on since it was taught; None: it was not. An empty list says
    only that nothing speaks against it.
    """
    training, validation = record.training, record.validation
    if training is None or validation is None:
        return []
    said = []
    images = training.good_images + training.held_out_images if good is None else good
    if images < FEW_IMAGES:
        said.append(
            f"{images} good images are too few to show what varies from part to part, so good parts may be called "
            f"anomalous: give it {FEW_IMAGES} at least, better 100."
        )
    if repeated := training.repeated_images:
        shows = "1 good image shows" if repeated == 1 else f"{repeated} good images show"
        said.append(
            f"{shows} the very same picture as another, so the threshold rests on fewer images than it says: remove "
            "the copies and train again."
        )
    steps, planned = training.steps, training.planned_steps
    if planned and steps < max(FEW_STEPS, FEW_PLANNED * planned):
        budget = training.time_budget_seconds
        cause = f": the time budget of {budget:g} s was used up" if budget and steps < planned else ""
        said.append(
            f"It was trained for {steps} of {planned} planned steps only{cause}. "
            f"Give it {'more time' if cause else f'{FEW_STEPS} steps at least'}."
        )
    auroc, faint = validation.image_auroc, training.augmentation is not None
    if auroc < (POOR_ON_FAINT if faint else POOR_SEPARATION):
        what = "faint synthetic defects" if faint else "synthetic defects"
        said.append(
            f"It hardly tells good images from {what} (image AUROC {auroc:.2f}; 0.5 is guessing): look at "
            "synthetic_defects.png in the run, and at whether the good images all show the product in the same way."
        )
    return said
