"""``inspector.json``: what an export folder holds, and the checks before any of it is used."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from realnet.atomic import write_text
from realnet.config import DiscriminatorKind, ImageScore, Node, ViewConfig
from realnet.errors import UserError
from realnet.files import file_sha256, name_pattern, text_sha256
from realnet.overriding import first_problem

INSPECTOR_FILE = "inspector.json"
INPUT: Literal["image"] = "image"
OUTPUTS: tuple[Literal["anomaly_map"], Literal["score"]] = ("anomaly_map", "score")
_MAX_BYTES = 1 << 20

ExportFormat = Literal["onnx", "openvino", "openvino-fp16", "openvino-int8", "torch"]


class ModelFile(Node):
    """One file of the model: its plain name, length in bytes and SHA-256 (hex)."""

    name: str = Field(pattern=name_pattern(100))
    length: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(Node):
    """The contents of ``inspector.json``.

    The graph takes ``image`` float32 ``[N, 3, image_size, image_size]``, RGB in 0..1, any N, and gives ``anomaly_map``
    float32 ``[N, 1, image_size, image_size]`` in 0..1 and ``score`` float32 ``[N]``, of the kind ``image_score``.

    Attributes:
        files: of the model; the first is the one to open.
        tile: side in pixels of the tiles that images are cut into, each resized to image_size; None: judged whole.
        levels: the stored values that are black and white in images of more than 8 bits; None: each type's own.
        discriminator: the kind, which bounds the threshold of the map when it is calibrated anew.
        view: where it looks in an image, and how images are aligned before they are resized or cut into tiles.
        threshold: scores above it are anomalous, unless a request names another.
        pixel_threshold: map values above it are outlined.
        categories: the products it was trained on, as far as the run says.
        sizes: widths and heights of the images it was trained on; none where there are many, or the run does not say.
        verification: how the file was compared with PyTorch, and what came out.
        provenance: the run and the versions it was made with.
        licence: what applies to the weights.
    """

    version: Literal[1] = 1
    format: ExportFormat
    files: tuple[ModelFile, ...] = Field(min_length=1, max_length=8)
    image_size: int = Field(ge=32, le=8192, multiple_of=32)
    tile: int | None = Field(default=None, ge=32)
    levels: tuple[float, float] | None = None
    view: ViewConfig = ViewConfig()
    image_score: ImageScore
    discriminator: DiscriminatorKind = "paper"
    input: Literal["image"] = INPUT
    outputs: tuple[Literal["anomaly_map"], Literal["score"]] = OUTPUTS
    threshold: float = Field(ge=0, le=1)
    pixel_threshold: float = Field(ge=0, le=1)
    categories: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    verification: dict[str, Any]
    provenance: dict[str, Any]
    licence: str

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what the export computes, by which results name it: files and reading, not thresholds."""
        reading = self.model_dump_json(include={"image_size", "tile", "levels", "view"})
        return combined_digest([*(file.sha256 for file in self.files), reading])


def combined_digest(digests: Iterable[str]) -> str:
    """One digest of several parts, by theirs."""
    return text_sha256("".join(digests))


def is_export(folder: Path) -> bool:
    """Whether ``folder`` is named as an export: it has an ``inspector.json``."""
    return (folder / INSPECTOR_FILE).is_file()


def describe_file(path: Path) -> ModelFile:
    """Name, length and digest of ``path``."""
    return ModelFile(name=path.name, length=path.stat().st_size, sha256=file_sha256(path))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export folder; UserError where it, or a file it names, is missing, damaged or elsewhere."""
    path = folder / INSPECTOR_FILE
    again = "Export the run again or restore it."
    if not path.is_file():
        raise UserError(
            f"{folder} is no exported inspector: it has no {INSPECTOR_FILE}. Make one with `realnet export`."
        )
    try:
        length = path.stat().st_size
        if length > _MAX_BYTES:
            raise UserError(f"{path} has {length:,} bytes, more than the {_MAX_BYTES:,} that any has. {again}")
        manifest = Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path} is damaged ({first_problem(error)}). {again}") from error
    reference = manifest.view.reference
    if reference is not None and str(reference) not in {file.name for file in manifest.files}:
        raise UserError(f"{path} names a reference image that is none of its files. {again}")
    for file in manifest.files:
        _check(folder, file, again)
    return manifest


def save_thresholds(folder: Path, score: float, pixel: float) -> None:
    """Set the thresholds of an export that was calibrated anew; UserError where it is none, or cannot be written."""
    manifest = read_manifest(folder).model_copy(update={"threshold": score, "pixel_threshold": pixel})
    write_text(folder / INSPECTOR_FILE, manifest.to_json())


def _check(folder: Path, expected: ModelFile, again: str) -> None:
    path = folder / expected.name
    try:
        # The name is plain, so only a link can lead elsewhere.
        if path.resolve().parent != folder.resolve():
            raise UserError(f"{path} leads out of its folder, which no export does. {again}")
        if not path.is_file() or path.stat().st_size != expected.length or describe_file(path) != expected:
            raise UserError(f"{path} is missing, or not the file that {INSPECTOR_FILE} describes. {again}")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
