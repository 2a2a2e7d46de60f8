"""Quality of synthetic anomaly images: closeness to real ones and diversity (App. C.6)."""

from realnet.diffusion.quality.clusters import cluster_diversity
from realnet.diffusion.quality.distances import frechet_distance, kernel_distance
from realnet.diffusion.quality.measure import measure_quality
from realnet.diffusion.quality.networks import Network, perceptual_network, pooled_network
from realnet.diffusion.quality.quality_figures import Quality

__all__ = [
    "Network",
    "Quality",
    "cluster_diversity",
    "frechet_distance",
    "kernel_distance",
    "measure_quality",
    "perceptual_network",
    "pooled_network",
]
