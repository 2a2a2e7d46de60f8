"""What a run says of itself: ``metrics.json``, typed."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from realnet.atomic import write_text
from realnet.errors import UserError
from realnet.overriding import reading

METRICS_FILE = "metrics.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Training(_Part):
    """What was trained on and how far.

    Attributes:
        categories: the products.
        good_images, held_out_images: how many were trained on, and held out.
        sizes: widths and heights of these images in pixels, where there are few; none where there are many.
        augmentation: which copies of good images joined the subspace; None: there is none.
        selected_by: ``training.select``.
        seconds: of all attempts together.
        precision, devices: as Fabric had them.
    """

    categories: tuple[str, ...]
    good_images: int
    held_out_images: int
    repeated_images: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    augmentation: str | None = None
    steps: int
    selected_by: str
    planned_steps: int
    best_step: int
    seconds: float
    time_budget_seconds: float | None = None
    precision: str = ""
    devices: int = 1

    @property
    def progress(self) -> str:
        """How far it went, in words."""
        if self.planned_steps == 0:
            return "no step: nothing is learned of the product"
        return f"{self.steps} of {self.planned_steps} planned steps, the state after step {self.best_step} kept"


class Imported(_Part):
    """Where a run that was not trained here comes from; ``assumed`` are sentences on what its file left open."""

    file: str
    epoch: int | None = None
    assumed: tuple[str, ...] = ()


class Validated(_Part):
    """The validation figures of the state that was kept, and in words what they were measured on."""

    meaning: str
    image_auroc: float
    pixel_average_precision: float | None = None
    good_images: int
    synthetic_defects: int


class Record(_Part):
    """The contents of ``metrics.json``: how a run was made, and what was measured of it since.

    Attributes:
        training, validation: of a run that was trained here; None of one that was ``imported``.
        provenance: versions, hardware, fingerprint of the data.
        test: results by data set and protocol, as :class:`realnet.evaluation.results.Results` writes them.
        test_of_other_versions: the same of versions that are not in force, by what they were taught; 0: as trained.
        reports: names of the report files, by data set.
    """

    validation: Validated | None = None
    training: Training | None = None
    imported: Imported | None = None
    provenance: dict[str, Any] = {}
    test: dict[str, Any] = {}
    test_of_other_versions: dict[str, Any] = {}
    reports: dict[str, str] = {}


def read_record(folder: Path) -> Record:
    """The record of the run in ``folder``; UserError where it is missing or damaged."""
    path = folder / METRICS_FILE
    if not path.is_file():  # a pipe of that name would be waited for
        raise UserError(f"{path} is missing or damaged; restore it or train again.")
    with reading(path, "restore it or train again", "is missing or damaged"):
        return Record.model_validate_json(path.read_bytes())


def save_record(folder: Path, record: Record) -> None:
    """Write ``metrics.json`` of the run in ``folder``."""
    write_text(folder / METRICS_FILE, record.model_dump_json(indent=2))
