"""What a trained run costs to use: images a second, size, memory; measured in a process of its own.

``python -m realnet.benchmark.footprint RUN`` prints it as JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from realnet.errors import UserError

if TYPE_CHECKING:
    from torch import nn

_WARM_UP, _IMAGES = 3, 20
DEVICE_VARIABLE = "REALNET_BENCHMARK_DEVICE"


def benchmark_device() -> str:
    """Where this process of a benchmark runs models: as told, else the best; UserError if that is missing."""
    from realnet.model.devices import AUTO, choose_device

    return choose_device(os.environ.get(DEVICE_VARIABLE, AUTO))


def peak_memory() -> int | None:
    """The most memory in bytes that this process has held; None where the system does not say.

    On Linux of this program alone: what ``getrusage`` says there begins with what the process held that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_run(run: Path) -> dict[str, float]:
    """Images a second one at a time, model size, parameters and memory of inference of the run in ``run``.

    An image in memory goes in and an anomaly map comes out, eager PyTorch on the best device there is; the median of 20
    after 3 to warm up. Memory is the GPU's where there is one. UserError where the process fails.
    """
    command = [sys.executable, "-m", "realnet.benchmark.footprint", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"Measuring the speed of {run} failed: {last}")
    return {name: float(value) for name, value in json.loads(done.stdout.splitlines()[-1]).items()}


def _measure(run: Path) -> dict[str, float]:
    import numpy as np
    import torch

    from realnet.acceleration import allow_tf32
    from realnet.inspection.inspector import Inspector
    from realnet.model.saving import load_network
    from realnet.run_folder import Run

    device = benchmark_device()
    allow_tf32(device)
    opened = Run(run)
    model, size = load_network(opened, device), opened.config.model.image_size
    judge = Inspector(model, opened.config)
    rng = np.random.default_rng(0)
    seconds = []
    for _ in range(_WARM_UP + _IMAGES):
        image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        start = time.perf_counter()
        judge.measure([image])
        seconds.append(time.perf_counter() - start)
    measured = {"images_per_second": 1 / statistics.median(seconds[_WARM_UP:]), **size_of(model)}
    memory = torch.cuda.max_memory_allocated() if device.startswith("cuda") else peak_memory()
    if memory is not None:
        measured["inference_memory_gigabytes"] = memory / 2**30
    return measured


def size_of(model: "nn.Module") -> dict[str, float]:
    """Parameters of ``model``, frozen ones included, and its size: with its buffers, so with what it has memorised."""
    tensors = [*model.parameters(), *model.buffers()]
    return {
        "model_gigabytes": sum(tensor.nbytes for tensor in tensors) / 2**30,
        "parameters_millions": sum(parameter.numel() for parameter in model.parameters()) / 1e6,
    }


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]))))
