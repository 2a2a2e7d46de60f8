"""Quality of synthetic anomaly images: closeness to real ones and diversity (App. C.6)."""

from realnet.diffusion.quality.measure import measure_quality
from realnet.diffusion.quality.quality_figures import Quality

__all__ = ["Quality", "measure_quality"]
