"""The report of an evaluation: one HTML file that opens offline."""

from realnet.report.contents import AfsLayer, AfsView, GalleryItem, afs_layer, worst_first
from realnet.report.page import write_report

__all__ = ["AfsLayer", "AfsView", "GalleryItem", "afs_layer", "worst_first", "write_report"]
