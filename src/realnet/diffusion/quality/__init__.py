"""Quality of synthetic anomaly images: closeness to real ones and diversity (App. C.6)."""

from realnet.diffusion.quality.clusters import Diversity, cluster_diversity
from realnet.diffusion.quality.distances import KernelDistance, frechet_distance, kernel_distance
from realnet.diffusion.quality.measure import measure_quality
from realnet.diffusion.quality.networks import Network, perceptual_network, pooled_network
from realnet.diffusion.quality.quality_figures import Quality, QualityFigure
from realnet.diffusion.quality.quality_table import quality_remarks, quality_table

__all__ = [
    "Diversity",
    "KernelDistance",
    "Network",
    "Quality",
    "QualityFigure",
    "cluster_diversity",
    "frechet_distance",
    "kernel_distance",
    "measure_quality",
    "perceptual_network",
    "pooled_network",
    "quality_remarks",
    "quality_table",
]
