"""What `benchmarks.gpu` measures with: precisions, calls that take turns, memory, failures as lines of the table."""

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
    """Median seconds and, on a GPU, gigabytes of each call that worked; why the others did not."""

    seconds: dict[str, float]
    gigabytes: dict[str, float]
    failures: dict[str, str]

    def memory(self, name: str) -> str:
        """For the remarks."""
        return f", peak {self.gigabytes[name]:.2f} GiB" if name in self.gigabytes else ""

    def failed(self, what: str) -> list[Line]:
        """A line for each that did not work."""
        return [failure(f"{what}, {name}", reason) for name, reason in self.failures.items()]


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


def timed(calls: dict[str, Callable[[], object]], plan: Plan, rounds: int, alone: int = 1) -> Timing:
    """Each ``alone`` times by itself, which warms up, compiles and shows what memory it takes; then in turns."""
    device, failures, gigabytes = plan.device, {}, {}
    waited: dict[str, Callable[[], object]] = {}
    for name, call in calls.items():

        def wait(call: Callable[[], object] = call) -> None:
            call()
            finish(device)

        release(device)
        try:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
                # What earlier calls keep for themselves (the memory of CUDA graphs) is not this one's.
                others = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            for _ in range(alone):
                wait()
            if device.type == "cuda":
                gigabytes[name] = (torch.cuda.max_memory_reserved(device) - others) / 2**30
            waited[name] = wait
        except Exception as error:  # out of memory, no compiler, ...: a line of the table
            failures[name] = reason_of(error)
    release(device)
    try:
        seconds = interleaved(waited, rounds, warm_up=1)
    except Exception as error:
        seconds = {}
        failures |= dict.fromkeys(waited, f"in turns: {reason_of(error)}")
    return Timing(seconds, gigabytes, failures)
