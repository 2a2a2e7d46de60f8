"""Many images judged by one call in Python: a row of plain values for each, which pandas makes a table of."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realnet.data import list_images
from realnet.errors import UserError

if TYPE_CHECKING:
    from realnet.inspection.judging import Judge


def judge_rows(
    inspector: "Judge", images: Any, batch_size: int = 8, threshold: float | None = None
) -> list[dict[str, Any]]:
    """Judge images, in order; nothing is written, and no picture or map is kept.

    Args:
        inspector: a loaded run or export.
        images: paths, PIL images, arrays or tensors; or one of them; or a folder, for all images in it.
        batch_size: images judged at a time.
        threshold: of the image score; None: the inspector's.

    Returns:
        A row for each image, with the columns of ``results.json`` but for the files. ``image`` is the path; of an image
        without one its number, from 0. Where a file cannot be read, ``verdict`` is ``unreadable`` and ``error`` says
        why.

    Raises:
        UserError: for a threshold outside 0..1.
    """
    rows: list[dict[str, Any]] = []
    remaining = iter(_named(images))
    while block := list(islice(remaining, batch_size)):
        ready = [inspector.look_or_say(image, name) for name, image in block]
        for (name, _), found in zip(block, inspector.inspect_each(ready, batch_size, threshold), strict=True):
            if isinstance(found, UserError):
                rows.append({"image": name, "verdict": "unreadable", "error": str(found)})
            else:
                rows.append({**found.to_dict(name), "error": ""})
    return rows


def _named(images: Any) -> Iterator[tuple[str, Any]]:
    """Every image with its name."""
    if isinstance(images, str | Path):
        place = Path(images)
        images = list_images([place]) if place.is_dir() else [place]
    elif hasattr(images, "convert") or getattr(images, "ndim", 4) < 4:  # one of PIL, or one array
        images = [images]
    each: Iterable[Any] = images
    for number, image in enumerate(each):
        yield str(image) if isinstance(image, str | Path) else str(number), image
