"""RealNet: turns a folder of good product images into an industrial visual inspector (CVPR 2024)."""

from typing import TYPE_CHECKING, Any

# At once, unlike the others: the module's own name would otherwise stand in for the mapping.
from realnet.presets import presets

if TYPE_CHECKING:
    from realnet.inspection.loading import load
    from realnet.model.network import RealNet

__all__ = ["RealNet", "__version__", "load", "presets"]
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
