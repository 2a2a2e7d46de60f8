"""Which model, calibration and program judged which image, and when: what every result carries."""

import datetime
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from realnet import __version__
from realnet.data.images import image_hash


def utc_now() -> str:
    """The time in ISO 8601, UTC, to the millisecond, such as ``2026-03-01T09:30:00.125Z``; sorts as text."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Origin:
    """Where an inspector's verdicts come from.

    Attributes:
        model_digest: SHA-256 of what computes the scores; empty for a model that was never saved.
        calibration: version of the calibration in force; None where the thresholds rest on none.
        calibrated: its threshold of the image score.
    """

    model_digest: str = ""
    calibration: int | None = None
    calibrated: float | None = None

    def trace(self, image: np.ndarray | None, threshold: float) -> "Trace":
        """The trace of a judgement of ``image`` (None: it could not be read) made now.

        Behind another ``threshold`` than the calibrated one stands no calibration, and the trace says so.
        """
        return Trace(
            model_digest=self.model_digest,
            calibration=self.calibration if threshold == self.calibrated else None,
            image_hash="" if image is None else image_hash(image),
        )


@dataclass(frozen=True)
class Trace:
    """What makes a result traceable.

    Attributes:
        model_digest: SHA-256 of the model.
        calibration: version of the calibration that the threshold comes from; None where it comes from none, or was
            named by hand.
        image_hash: see :func:`realnet.data.images.image_hash`; empty for an image that could not be read.
        id: of this judgement, 32 hexadecimal digits; no other one has it.
        time: when, UTC.
        software: program and version.
    """

    model_digest: str = ""
    calibration: int | None = None
    image_hash: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: str = field(default_factory=utc_now)
    software: str = f"realnet {__version__}"

    def as_dict(self) -> dict[str, Any]:
        """Its fields by name."""
        return asdict(self)
