"""Synthetic defects of good images (Sec. 3.1): masks, sources, blending."""

from realnet.synthesis.anomaly import Anomaly
from realnet.synthesis.blending import blend
from realnet.synthesis.export import write_figure, write_image, write_pairs
from realnet.synthesis.foreground import foreground_mask, settle_foreground
from realnet.synthesis.perlin import perlin_mask
from realnet.synthesis.preview import contact_sheet, grid_image
from realnet.synthesis.synthesizer import Synthesizer

__all__ = [
    "Anomaly",
    "Synthesizer",
    "blend",
    "contact_sheet",
    "foreground_mask",
    "grid_image",
    "perlin_mask",
    "settle_foreground",
    "write_figure",
    "write_image",
    "write_pairs",
]
