"""Figures of an inspector on images with known truth: exact, and labelled with where they come from."""

from realnet.evaluation.figures import evaluate_maps
from realnet.evaluation.metrics import (
    average_precision,
    f1_max,
    image_auroc,
    per_region_overlap,
    pixel_auroc,
    pixel_figures,
    roc_curve,
)
from realnet.evaluation.protocol import realnet_protocol
from realnet.evaluation.results import Provenance, Results
from realnet.evaluation.scores import image_scores, max_score, pooled16_score

__all__ = [
    "Provenance",
    "Results",
    "average_precision",
    "evaluate_maps",
    "f1_max",
    "image_auroc",
    "image_scores",
    "max_score",
    "per_region_overlap",
    "pixel_auroc",
    "pixel_figures",
    "pooled16_score",
    "realnet_protocol",
    "roc_curve",
]
