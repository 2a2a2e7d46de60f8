"""What an inspector will find before the first real defect: the smallest and faintest drawn ones that it finds."""

from realnet.limits.drawn import KINDS, Kind, draw
from realnet.limits.measuring import DEPTHS, EACH, Found, Limits, measure_limits

__all__ = ["DEPTHS", "EACH", "KINDS", "Found", "Kind", "Limits", "draw", "measure_limits"]
