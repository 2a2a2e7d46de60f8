"""Pairs of defective image and mask, written to a folder for anybody's trainer."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from realnet.atomic import atomic_path, write_text
from realnet.data.finding import OWN_MARK
from realnet.errors import UserError
from realnet.files import read_json, text_sha256
from realnet.synthesis.anomaly import Anomaly
from realnet.synthesis.synthesizer import Synthesizer

SETTINGS = "synthesis.json"
MANIFEST = "manifest.jsonl"
# zlib's level: of photographs as small as its usual 6, in half the time.
_COMPRESSION = 4


def write_pairs(
    synthesizer: Synthesizer,
    names: Sequence[str],
    count: int,
    output: str | Path,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write defects 0..count-1 of ``synthesizer`` in MVTec layout and return the path of the manifest.

    ``output/test/KIND/NNNNNN.png`` is the defective image, ``output/ground_truth/KIND/NNNNNN_mask.png`` its
    mask (0 or 255). ``output/manifest.jsonl`` has a line for each: index, seed, kind, opacity, good image
    (of ``names``, one for each of the synthesizer's images), origin of the source, the two paths. It is
    written last: where it exists the set is whole. The same call continues an interrupted run; pictures that
    are there stay. ``progress`` is told how many defects are done.

    Raises:
        UserError: where ``count`` is not positive, the folder holds something else, or it cannot be written.
    """
    output = Path(output)
    if count < 1:
        raise UserError(f"Cannot write {count} defects: ask for at least one.")
    if len(names) != len(synthesizer.images):
        raise ValueError(f"{len(names)} names for {len(synthesizer.images)} images")
    other = "synthetic defects made with other settings, images, seed or count"
    claim_folder(output, SETTINGS, _settings(synthesizer, names, count), "synthetic defects", other)
    lines = []
    for index in range(count):
        anomaly = synthesizer(index)
        record = _record(synthesizer, names, index, anomaly)
        # Making a defect again is far cheaper than writing it, and tells what the manifest has to say of it.
        if not (output / record["mask"]).exists():
            write_image(output / record["mask"], anomaly.mask.astype(np.uint8) * np.uint8(255))
        if not (output / record["image"]).exists():
            write_image(output / record["image"], anomaly.image)
        lines.append(json.dumps(record, ensure_ascii=False))
        if progress is not None:
            progress(index + 1)
    write_text(output / MANIFEST, "\n".join(lines) + "\n")
    return output / MANIFEST


def write_image(path: str | Path, array: NDArray[np.uint8], info: PngInfo | None = None) -> None:
    """Write uint8 [h, w] or [h, w, 3] to ``path`` as PNG, atomically; ``info`` goes in as well."""
    with atomic_path(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG", pnginfo=info, compress_level=_COMPRESSION)


def write_figure(path: str | Path, array: NDArray[np.uint8]) -> None:
    """As :func:`write_image`, for pictures to be looked at: marked, so that none is taken for a photograph later."""
    info = PngInfo()
    info.add_text("Software", OWN_MARK)
    write_image(path, array, info)


def _record(synthesizer: Synthesizer, names: Sequence[str], index: int, anomaly: Anomaly) -> dict[str, Any]:
    return {
        "index": index,
        "seed": synthesizer.seed,
        "kind": anomaly.kind,
        "opacity": anomaly.opacity,
        "good": names[synthesizer.good_of(index)],
        "origin": anomaly.origin,
        "image": f"test/{anomaly.kind}/{index:06d}.png",
        "mask": f"ground_truth/{anomaly.kind}/{index:06d}_mask.png",
    }


def _settings(synthesizer: Synthesizer, names: Sequence[str], count: int) -> dict[str, Any]:
    return {
        "format": "realnet synthetic defects 1",
        "seed": synthesizer.seed,
        "count": count,
        "synthesis": synthesizer.config.model_dump(mode="json"),
        "category": synthesizer.category,
        "good_images": len(names),
        "good_names_sha256": text_sha256("\n".join(names)),
    }


def claim_folder(folder: Path, file_name: str, settings: dict[str, Any], what: str, other: str) -> None:
    """Take an empty folder, or one that these very settings were begun in, and leave them there as ``file_name``.

    ``what`` is what goes into the folder and ``other`` what else it may hold of that kind, both for the messages.
    UserError for a folder that holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose a folder to write the {what} to.")
    file = folder / file_name
    if file.is_file():
        try:
            found = read_json(file)
        except ValueError:
            found = {}
        if found != settings:
            raise UserError(f"{folder} holds {other}: choose another --output, or repeat the settings to continue.")
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty and holds no {what} of this command: choose an empty --output.")
    write_text(file, json.dumps(settings, indent=2) + "\n")
