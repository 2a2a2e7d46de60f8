"""Figures of an inspector on images with known truth: exact, and labelled with where they come from."""

from realnet.evaluation.metrics import image_auroc, per_region_overlap, pixel_auroc

__all__ = ["image_auroc", "per_region_overlap", "pixel_auroc"]
