"""What a signal says."""

import hashlib
from collections.abc import Mapping
from typing import Any

from realnet.signals.delivery import now
from realnet.signals.sink import Message

# Of what a result carries; pictures and outlines are not for machines.
_CARRIED = (
    "image", "model", "verdict", "score", "threshold", "level", "anomalous_area", "error",
    "model_digest", "calibration", "software", "image_hash",
    "moved_x", "moved_y", "turned", "match", "alignment",
)  # fmt: skip
_OF_REGION = ("area", "share", "box", "peak", "peak_at")


def message_of(result: Mapping[str, Any], **more: Any) -> Message:
    """The signal of a result.

    Args:
        result: the fields of a row of ``results.jsonl``, or of an answer of the server. Its ``id`` is the signal's: it
            tells it from all others, stays the same when it is sent again, and finds it in a results store.
        more: fields that the result lacks, such as the model.
    """
    message: Message = {"id": result["id"], "kind": "result", "time": now(), **more}
    message |= {name: result[name] for name in _CARRIED if result.get(name) not in (None, "")}
    regions = result.get("regions", ())
    message["regions"] = [{name: region[name] for name in _OF_REGION} for region in regions]
    return message


def identity_of(series: str, image: str, version: tuple[int, int]) -> str:
    """The same for the same version of an image in the same inspection: hex, 32 digits."""
    text = f"{series}\0{image}\0{version[0]}\0{version[1]}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
