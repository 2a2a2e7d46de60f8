"""Where to look: a part of the image, and images brought to where a reference image has it."""

from realnet.view.alignment import Alignment
from realnet.view.looking import REFERENCE_FILE, Looked, View, find_reference, keep_reference, view_of

__all__ = ["REFERENCE_FILE", "Alignment", "Looked", "View", "find_reference", "keep_reference", "view_of"]
