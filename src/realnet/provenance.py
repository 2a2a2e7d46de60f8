"""Where a figure comes from: versions, hardware and the facts that named it."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from realnet import __version__
from realnet.config import Config
from realnet.errors import plural

_PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy", "opencv-python-headless")


def hardware() -> str:
    """Processor, cores, threads in use, and GPU where there is one, with TF32 where that is on, in words."""
    parts = [f"{_processor()}, {plural(os.cpu_count() or 1, 'core')}, {plural(torch.get_num_threads(), 'thread')}"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name() + (", TF32" if torch.backends.cuda.matmul.allow_tf32 else ""))
    return "; ".join(parts)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def timestamp() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def facts_of(config: Config) -> dict[str, Any]:
    """What of a run's configuration stands beside every figure."""
    return {
        "seed": config.seed,
        "preset": config.preset,
        "image_score": config.model.image_score,
        "selection": config.training.select,
    }


def collect_provenance(**facts: Any) -> dict[str, Any]:
    """``facts`` (data, fingerprint, split, seed, preset, image score ...) with versions, hardware and date."""
    versions = {"realnet": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        **facts,
        "versions": versions,
        "python": platform.python_version(),
        "system": platform.system(),
        "hardware": hardware(),
        "date": timestamp(),
    }
