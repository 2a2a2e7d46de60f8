"""What an inspector will find before the first real defect: the smallest and faintest drawn ones that it finds."""

from realnet.limits.counted import EACH, Cell, Found, Limits, read_limits, save_limits
from realnet.limits.drawn import KINDS, Kind, draw
from realnet.limits.measuring import DEPTHS, measure_limits

__all__ = [
    "DEPTHS", "EACH", "KINDS", "Cell", "Found", "Kind", "Limits", "draw", "measure_limits", "read_limits",
    "save_limits",
]  # fmt: skip
