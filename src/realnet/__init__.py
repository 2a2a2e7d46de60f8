"""RealNet: turns a folder of good product images into an industrial visual inspector (CVPR 2024)."""

from typing import TYPE_CHECKING, Any

# A module of its own would otherwise stand in for the function `export` once it is imported, and for `presets`.
import realnet.export  # noqa: F401
from realnet.api import calibrate, evaluate, export, inspect, synthesize, teach, train
from realnet.presets import presets

if TYPE_CHECKING:
    from realnet.inspection.loading import load
    from realnet.model.network import RealNet

__all__ = [
    "RealNet", "__version__", "calibrate", "evaluate", "export", "inspect", "load", "presets", "synthesize", "teach",
    "train",
]  # fmt: skip
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import on first use: ``realnet --help`` and a wrong path are answered without loading torch."""
    if name == "RealNet":
        from realnet.model.network import RealNet

        return RealNet
    if name == "load":
        from realnet.inspection.loading import load

        return load
    raise AttributeError(f"module 'realnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What a person may use, for tab completion."""
    return sorted(__all__)
