"""Results of an evaluation, typed, with everything that says where a figure comes from."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast, get_args

from pydantic import ValidationError

from realnet.config import Node
from realnet.data.samples import Category, fingerprint
from realnet.errors import UserError
from realnet.overriding import first_problem
from realnet.provenance import collect_provenance

Protocol = Literal["exact", "realnet"]


def check_protocol(name: str) -> Protocol:
    """``name`` as a protocol; UserError for another word."""
    if name not in get_args(Protocol):
        raise UserError(f"There is no protocol {name!r}: use exact, or realnet for the authors' evaluator.")
    return cast(Protocol, name)


class Metric(NamedTuple):
    """A figure's title, and what it means in one plain sentence."""

    title: str
    meaning: str


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "image_auroc": Metric(
            "Image AUROC",
            "The chance that a defective image scores higher than a good one: 1 is perfect, 0.5 is guessing.",
        ),
        "pixel_auroc": Metric(
            "Pixel AUROC",
            "The chance that a defective pixel is marked more strongly than a good one; "
            "high values come easily, as most pixels are good.",
        ),
        "pro": Metric(
            "PRO",
            "How much of each defect is covered, small defects counting as much as large ones, "
            "while at most 30% of the good pixels are marked.",
        ),
        "image_average_precision": Metric(
            "Image AP",
            "How pure the list of images sorted by score stays, on average, until every defective one is found.",
        ),
        "pixel_average_precision": Metric(
            "Pixel AP",
            "How pure the marked area stays, on average, until every defective pixel is found; "
            "the strictest of the pixel figures.",
        ),
        "image_f1_max": Metric(
            "Image F1-max",
            "Precision and recall of the verdict at the best threshold for these very images: "
            "an upper bound for a threshold set beforehand.",
        ),
        "pixel_f1_max": Metric(
            "Pixel F1-max",
            "How well marked and defective area agree at the best threshold for these very images: an upper bound.",
        ),
    }
)
"""What is measured, by the name of its field in :class:`Figures`."""


class Figures(Node):
    """One row: the figures of some good and some defective images. None where a figure is not defined.

    Attributes:
        category: the product, or ``all`` for the mean of the categories.
        defect: the kind of defect, measured against all good images of the category; None for all kinds.
        good: number of good images; ``defective`` of the others.
        missed: defective images at or below the run's threshold; None where no threshold was given.
        false_alarms: good images above it.
        oracle: the model was selected by test images, so every figure of the row flatters it.
        seen: the run has seen some of these images before, or was trained on another product: the figures say little.
    """

    category: str
    defect: str | None
    good: int
    defective: int
    image_auroc: float | None = None
    pixel_auroc: float | None = None
    pro: float | None = None
    image_average_precision: float | None = None
    pixel_average_precision: float | None = None
    image_f1_max: float | None = None
    pixel_f1_max: float | None = None
    missed: int | None = None
    false_alarms: int | None = None
    oracle: bool = False
    seen: bool = False

    @property
    def mark(self) -> str:
        """What stands behind every figure of the row that flatters the model."""
        return f"{' (oracle)' if self.oracle else ''}{' (forced)' if self.seen else ''}"

    @property
    def images(self) -> int:
        """Number of images."""
        return self.good + self.defective

    def text(self, name: str) -> str:
        """A figure as it is shown anywhere: ``0.991``, ``0.991 (oracle)``, or a dash where undefined."""
        value = getattr(self, name)
        if value is None:
            return "–"
        text = str(value) if isinstance(value, int) else f"{value:.3f}"
        return text + self.mark


class Provenance(Node):
    """Where figures come from.

    Attributes:
        data: name of the data set; ``data_fingerprint`` is the SHA-256 of the images evaluated.
        split: which images, such as ``test``.
        seed: None where it is not known: maps made elsewhere.
        preset: of the run; the method's name for maps made elsewhere.
        image_score: ``max`` or ``pooled16``.
        selection: what the checkpoint was selected by, such as ``validation``; ``oracle`` means test images,
            ``unknown`` that somebody else chose it.
        protocol: ``exact``, or ``realnet`` for the authors' evaluator.
        fpr_limit: of PRO.
        pixels: at which size the pixel figures were computed: that of the ``map``, or of each ``image``.
    """

    data: str
    data_fingerprint: str
    split: str
    seed: int | None
    preset: str
    image_score: str
    selection: str
    protocol: Protocol = "exact"
    fpr_limit: float = 0.3
    pixels: Literal["map", "image"] = "map"
    versions: dict[str, str]
    python: str
    system: str
    hardware: str
    date: str

    @classmethod
    def of_tests(cls, data: str, categories: Sequence[Category], **facts: Any) -> "Provenance":
        """These facts of figures on the test images of ``categories``, with the versions, hardware and date of now."""
        return cls(
            data=f"{data} ({', '.join(category.name for category in categories)})",
            data_fingerprint=fingerprint([sample for category in categories for sample in category.test]),
            split="test",
            **collect_provenance(**facts),
        )


class Results(Node):
    """All figures of one evaluation.

    Attributes:
        overall: the only category's figures, or the mean over categories, as published tables have it.
        categories: a row a category.
        defects: a row a kind of defect and category.
        notes: sentences on what is missing and why.
    """

    overall: Figures
    categories: tuple[Figures, ...]
    defects: tuple[Figures, ...]
    provenance: Provenance
    notes: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Read what :meth:`to_json` wrote; UserError for anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise UserError(
                f"These are no evaluation results ({first_problem(error)}); evaluate the run again."
            ) from error
