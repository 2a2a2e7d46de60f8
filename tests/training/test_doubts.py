"""What speaks against an inspector."""

import pytest

from realnet.record import Record, Training, Validated
from realnet.training.doubts import find_doubts


def metrics(
    images: int = 100, steps: int = 300, budget: float | None = None, auroc: float = 0.95, repeated: int = 0,
    augmentation: str | None = None,
) -> Record:  # fmt: skip
    training = Training(
        categories=("widget",), good_images=images, held_out_images=0, steps=steps, selected_by="validation",
        planned_steps=300, best_step=steps, seconds=1.0, time_budget_seconds=budget, repeated_images=repeated,
        augmentation=augmentation,
    )  # fmt: skip
    return Record(
        training=training,
        validation=Validated(meaning="", image_auroc=auroc, good_images=images, synthetic_defects=2 * images),
    )


def test_nothing_speaks_against_a_whole_training() -> None:
    assert find_doubts(metrics()) == []
    assert find_doubts(Record()) == []
    assert find_doubts(metrics(auroc=0.75, augmentation="strong")) == [], "faint defects are found by no inspector all"


def test_what_was_taught_counts() -> None:
    assert find_doubts(metrics(images=10), good=40) == []
    (sentence,) = find_doubts(metrics(), good=12)
    assert "12 good images are too few" in sentence


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (metrics(images=5), "5 good images are too few"),
        (metrics(steps=3, budget=20), "3 of 300 planned steps only: the time budget of 20 s was used up. Give it more"),
        (metrics(steps=3), "3 of 300 planned steps only. Give it 50 steps"),
        (metrics(repeated=1), "1 good image shows the very same picture as another"),
        (metrics(repeated=9), "9 good images show the very same picture as another"),
        (metrics(auroc=0.75), "hardly tells good images from synthetic defects (image AUROC 0.75"),
        (metrics(auroc=0.6, augmentation="none"), "good images from faint synthetic defects (image AUROC 0.60"),
    ],
)
def test_each_doubt_is_a_sentence_of_its_own(made: Record, said: str) -> None:
    (sentence,) = find_doubts(made)
    assert said in sentence
