"""Figures of an inspector on images with known truth: exact, and labelled with where they come from."""

from realnet.evaluation.figures import evaluate_maps
from realnet.evaluation.metrics import (
    F1Max,
    PixelFigures,
    RocCurve,
    average_precision,
    f1_max,
    image_auroc,
    per_region_overlap,
    pixel_auroc,
    pixel_figures,
    roc_curve,
)
from realnet.evaluation.protocol import ProtocolFigures, realnet_protocol
from realnet.evaluation.results import Figures, Provenance, Results
from realnet.evaluation.scores import image_scores, max_score, pooled16_score

__all__ = [
    "F1Max",
    "Figures",
    "PixelFigures",
    "ProtocolFigures",
    "Provenance",
    "Results",
    "RocCurve",
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
