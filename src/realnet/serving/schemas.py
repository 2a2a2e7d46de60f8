"""What travels over HTTP: requests and answers of ``/v1``."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from realnet.history import Entry
from realnet.history.searching import Span
from realnet.inspection.regions import Region
from realnet.view import Alignment


class InspectRequest(BaseModel):
    """An image to judge, as JSON; a multipart request has the same fields, ``image`` being the file itself.

    Attributes:
        image: the contents of an image file in base64.
        name: of the image, returned with the answer.
        model: which inspector; may be left out where there is one.
        threshold: of the image score, in the place of the inspector's.
        minimum_area: pixels of the smallest defect that counts, in the place of the server's.
        heatmap: whether the answer is to have a picture.
        all_regions: whether regions of an image that passes, and small ones, are to be named too.
        id: of the result; an image that is sent again by the same id is one result, the first. Default: a new one.
    """

    model_config = ConfigDict(extra="forbid")

    image: str
    name: str = Field(default="image", max_length=500)
    model: str | None = None
    threshold: float | None = Field(default=None, ge=0, le=1)
    minimum_area: int | None = Field(default=None, ge=0)
    heatmap: bool = False
    all_regions: bool = False
    id: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")


@dataclass(frozen=True)
class Outlined(Region):
    """A region with its outer border, a closed polygon of ``(x, y)``."""

    outline: tuple[tuple[int, int], ...] = ()


class InspectAnswer(BaseModel):
    """What the inspector says of one image.

    Attributes:
        name: as it was sent.
        id: of this result; time: when, UTC.
        model: which inspector judged; model_digest: SHA-256 of what it computes.
        calibration: version that the threshold comes from; none where the request named a threshold.
        software: program and version; image_hash: SHA-256 of the pixels.
        recorded: whether the result is in the server's results store.
        verdict: ``good``, ``anomalous``, or ``unknown``: of another product, which is not good either.
        score: 0..1, larger is worse; ``threshold``: above it is anomalous.
        level: the score on the scale on which the threshold is 0.5.
        width, height: of the image, upright, in pixels.
        anomalous_area: share of the image that is outlined, 0..1.
        regions: the outlined areas, the highest peak first; none for a good image.
        alignment: how the part lay, where the inspector aligns images.
        notes: sentences: what of the image was read differently than one might expect (pages, frames, alpha, size), and
            why it passes although its score is above the threshold.
        heatmap_png: the anomaly map in colours over the image, PNG in base64, where it was asked for; not larger than
            1,280 pixels.
    """

    name: str
    model: str
    verdict: Literal["good", "anomalous", "unknown"]
    score: float
    threshold: float
    level: float
    width: int
    height: int
    anomalous_area: float
    regions: list[Outlined]
    alignment: Alignment | None = None
    notes: list[str] = []
    heatmap_png: str | None = None
    id: str
    time: str
    model_digest: str
    calibration: int | None
    software: str
    image_hash: str
    recorded: bool = False


class ModelAnswer(BaseModel):
    """One inspector of the server.

    Attributes:
        view: polygons around what is looked at, corners in shares of the image; none: everything.
        aligned: whether images are aligned to a reference image.
        calibration: what its threshold promises, in sentences; calibration_version: which one it is.
        model_digest: SHA-256 of what it computes.
        confirmed: how it does on the images that people have confirmed, a sentence; none without a results store.
        synthetic_defects, report: whether the run has a sheet of them, and a report.
        limits: how small and how faint a drawn defect it finds, in sentences; none where that was not measured.
        drift: a sentence where the latest scores have left the calibrated ones.
    """

    name: str
    threshold: float
    pixel_threshold: float
    minimum_area: int
    image_size: int
    view: list[list[tuple[float, float]]]
    aligned: bool
    calibration: list[str]
    calibration_version: int | None
    model_digest: str
    confirmed: str | None
    synthetic_defects: bool
    report: bool
    limits: list[str]
    drift: str | None


class _Signed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    who: str = Field(min_length=1, max_length=200)
    why: str = Field(default="", max_length=1000)


class FeedbackRequest(_Signed):
    """The verdict of the person ``who`` on a result, ``good`` or ``defective``, and why, in words."""

    label: Literal["good", "defective"]


class ThresholdRequest(_Signed):
    """A ``threshold`` of the image score that is to become the calibrated one; who chose it, and why, in words."""

    threshold: float = Field(ge=0, le=1)


class HistoryAnswer(BaseModel):
    """Results of the store; ``total`` is how many there are altogether."""

    total: int
    results: list[Entry]


class TrendAnswer(BaseModel):
    """Results by hour or day."""

    spans: list[Span]


class TeachAnswer(BaseModel):
    """What a run has learned, in sentences."""

    sentences: list[str]


class GatheredAnswer(BaseModel):
    """Good images that were given for an inspector.

    Attributes:
        name: of the inspector; made: whether there is one yet.
        images: how many there are; waiting: how many of them it has not learned.
        known: whether the image that was just given had been given before.
    """

    name: str
    made: bool
    images: int
    waiting: int
    known: bool = False


class OddAnswer(BaseModel):
    """A good image that scores far above the others, for a person to look at; ``picture`` is a data URI."""

    image: str
    picture: str


class LearnAnswer(BaseModel):
    """What an inspector is after it was made, or has learned further good images.

    Attributes:
        sentences: what came out.
        good_images: that its threshold rests on; promised: the rate of false alarms on average, at most.
        seconds: what it took.
    """

    sentences: list[str]
    good_images: int
    threshold: float
    promised: float
    seconds: float


class About(BaseModel):
    """What the page has to know: whether there is a results store, thresholds are saved, runs taught and made."""

    history: bool
    keeps: str
    saves_thresholds: bool
    teaches: bool
    creates: bool


class Health(BaseModel):
    """The server is up."""

    status: Literal["ok"] = "ok"
    version: str
    models: list[str]
    uptime_seconds: float


class Problem(BaseModel):
    """Why there is no answer: one sentence that says what to do."""

    error: str
