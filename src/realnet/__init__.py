"""RealNet: turns a folder of good product images into an industrial visual inspector (CVPR 2024)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realnet.inspection.inspector import load
    from realnet.model.network import RealNet
    from realnet.presets import presets

__all__ = ["RealNet", "load", "presets"]


def __getattr__(name: str) -> Any:
    """Import on first use: ``realnet --help`` and a wrong path are answered without loading torch."""
    if name == "RealNet":
        from realnet.model.network import RealNet

        return RealNet
    if name == "load":
        from realnet.inspection.inspector import load

        return load
    if name == "presets":
        from realnet.presets import presets

        return presets
    raise AttributeError(f"module 'realnet' has no attribute {name!r}")
