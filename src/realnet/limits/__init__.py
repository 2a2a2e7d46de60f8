"""What an inspector will find before the first real defect: the smallest and faintest drawn ones that it finds."""

from realnet.limits.counted import EACH, Cell, Found, Limits, read_limits, save_limits
from realnet.limits.drawn import KINDS, draw
from realnet.limits.measuring import measure_limits

__all__ = ["EACH", "KINDS", "Cell", "Found", "Limits", "draw", "measure_limits", "read_limits", "save_limits"]
