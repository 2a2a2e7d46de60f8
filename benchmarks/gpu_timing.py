"""What `benchmarks.gpu` measures with: precisions, times, memory, failures as lines of the table."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from benchmarks.speed.timing import Line, interleaved

PRECISIONS = ("float32", "TF32", "bf16")


@dataclass(frozen=True)
class Plan:
    """Where and how much is measured; ``small`` tries the script and compares with nothing."""

    device: torch.device
    small: bool
    batch: int
    rounds: int

    def line(self, what: str, target: str, measured: str, ratio: float, goal: float, note: str) -> Line:
        """A line of the table; ``ratio`` must reach ``goal``."""
        if self.small:
            return Line(what, "none (tiny)", measured, None, None, note)
        return Line(what, target, measured, ratio, ratio >= goal, note)


@dataclass(frozen=True)
class Timing:
    """Median seconds and, on a GPU, gigabytes of a call."""

    seconds: float
    gigabytes: float | None

    @property
    def memory(self) -> str:
        """For the remarks."""
        return "" if self.gigabytes is None else f", peak {self.gigabytes:.2f} GiB"


def failure(what: str, reason: str) -> Line:
    return Line(what, "", "failed", None, False, reason)


def reason_of(error: Exception) -> str:
    """Kind and first line, fit for a table."""
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {first}".replace("|", "/")[:200]


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def release(device: torch.device) -> None:
    """Give back what nobody holds any more, also after a failure."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def tf32(kind: str) -> Iterator[None]:
    """Convolutions and matrix products in TF32 where ``kind`` says so, otherwise none of them, as long as it lasts."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = kind == "TF32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def autocast(kind: str, device: torch.device) -> torch.autocast:
    """To bfloat16 where ``kind`` says so."""
    return torch.autocast(device.type, torch.bfloat16, enabled=kind == "bf16")


def timed(call: Callable[[], object], plan: Plan, rounds: int, alone: int = 2) -> Timing:
    """``alone`` calls that warm up, compile and show what memory it takes; then the median of ``rounds``."""
    device = plan.device
    release(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        # What earlier calls keep for themselves (the memory of CUDA graphs) is not this one's.
        others = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)

    def wait() -> None:
        call()
        finish(device)

    for _ in range(alone):
        wait()
    taken = (torch.cuda.max_memory_reserved(device) - others) / 2**30 if device.type == "cuda" else None
    return Timing(interleaved({"": wait}, rounds, warm_up=0)[""], taken)
