"""What a benchmark's tables can show, and how a figure is written."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from realnet.evaluation.results import METRICS


class Column(NamedTuple):
    """A figure's title, and how it is written."""

    title: str
    factor: float
    digits: int

    def text(self, value: float, deviation: float | None = None) -> str:
        """``98.36 ± 0.14``."""
        written = f"{value * self.factor:.{self.digits}f}"
        return written if deviation is None else f"{written} ± {deviation * self.factor:.{self.digits}f}"


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        **{name: Column(f"{metric.title} (%)", 100, 2) for name, metric in METRICS.items()},
        "images_per_second": Column("Images/s", 1, 2),
        "fit_seconds": Column("Training (s)", 1, 0),
        "model_gigabytes": Column("Model size (GB)", 1, 4),
        "parameters_millions": Column("Parameters (M)", 1, 2),
        "inference_memory_gigabytes": Column("Memory, inference (GB)", 1, 2),
        "peak_memory_gigabytes": Column("Memory, whole run (GB)", 1, 2),
        "FID": Column("FID", 1, 2),
        "KID": Column("KID", 1, 4),
        "cluster LPIPS": Column("cluster LPIPS", 1, 3),
        "IC-LPIPS": Column("IC-LPIPS", 1, 3),
        "FD-lite0": Column("FD-lite0", 1, 1),
        "KD-lite0": Column("KD-lite0", 1, 2),
        "cluster PD-lite0": Column("cluster PD-lite0", 1, 3),
        "IC-PD-lite0": Column("IC-PD-lite0", 1, 3),
    }
)
"""Every figure that a plan may name: accuracy is kept as 0..1 and written in per cent, as the paper writes it."""
