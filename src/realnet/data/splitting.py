"""Which of a product's labelled images are for training, which for the test, and which for neither."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from realnet.data.finding import LeftOut
from realnet.data.samples import Category, Sample, name_rank

_HELD_OUT_SHARE = 5


@dataclass(frozen=True)
class Labelled:
    """A sample, the split its folders name (None: none), and its folder below the product's."""

    sample: Sample
    split: str | None
    folder: str


def divide(name: str, layout: str, images: Sequence[Labelled], left_out: Sequence[LeftOut]) -> Category:
    """The product as its folders divide it; where they do not, a fifth of the good images joins the defects as a test.

    A split for validation is the test where there is no other; beside one it is left to `realnet calibrate`. Where the
    folders name no test, all good images are for training but for that fifth, which is fixed by their names; without
    defects none is held out.
    """
    left = list(left_out)
    splits = {image.split for image in images}
    test_name = "test" if "test" in splits else "validation"
    test = [image for image in images if image.split == test_name]
    spare = [image for image in images if image.split == "validation" != test_name]
    left += _grouped((i for i in spare if i.sample.is_anomalous), "defective images in a split for validation")
    spare = [image for image in spare if not image.sample.is_anomalous]
    rest = [image for image in images if image.split in ("train", None)]
    if test and "train" in splits:
        left += _grouped((i for i in rest if i.split is None), "neither for training nor for the test")
        rest = [image for image in rest if image.split == "train"]
    good = [image for image in rest if not image.sample.is_anomalous]
    bad = [image for image in rest if image.sample.is_anomalous]
    if bad and not test:
        ranked = sorted(good, key=lambda image: name_rank(image.sample.name))
        count = max(1, len(good) // _HELD_OUT_SHARE) if good else 0
        test, good = [*ranked[:count], *bad], ranked[count:]
    elif bad:
        left += _grouped(bad, "defective images outside the test")
    return Category(
        name,
        layout,
        tuple(image.sample for image in sorted(good, key=_path)),
        tuple(replace(image.sample, split="test") for image in sorted(test, key=_path)),
        tuple(replace(image.sample, split="test") for image in sorted(spare, key=_path)),
        tuple(left),
        bool(splits - {None}) and bool({"test", "validation"} & splits),
    )


def _path(image: Labelled) -> str:
    return str(image.sample.image)


def _grouped(images: Iterable[Labelled], reason: str) -> list[LeftOut]:
    counts = Counter(image.folder or "." for image in images)
    return [LeftOut(folder, reason, count) for folder, count in sorted(counts.items())]
