"""How training is carried out: devices, the folder, and the clock."""

import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from realnet.acceleration import allow_tf32
from realnet.errors import UserError
from realnet.files import alone_with
from realnet.model.devices import choose_device
from realnet.training.checkpoint import CHECKPOINT_FILE
from realnet.training.lone import LoneProcess

if TYPE_CHECKING:
    from lightning.fabric import Fabric

_LOCK_FILE = ".train.lock"


@dataclass(frozen=True)
class Launch:
    """How the work is done, as opposed to what is trained: none of it is part of the configuration.

    ``device`` is as for :func:`realnet.model.devices.choose_device`, ``devices`` how many of that kind; ``precision``
    and ``strategy`` are Fabric's; ``time_budget`` is in seconds.
    """

    device: str = "auto"
    devices: int = 1
    precision: Any = "32-true"
    strategy: str = "auto"
    time_budget: float | None = None
    resume: bool = False


def make_fabric(launch: Launch) -> "Fabric":
    """Fabric, its processes not started yet; on an NVIDIA GPU with TF32. For one CPU, what does the same without it.

    UserError for devices, a precision or a strategy that are not to be had here.
    """
    kind, _, number = choose_device(launch.device).partition(":")
    if number and launch.devices > 1:
        raise UserError(f"--device {launch.device} is one device: for {launch.devices} write --device {kind}.")
    plain = (kind, launch.devices, str(launch.precision), launch.strategy) == ("cpu", 1, "32-true", "auto")
    # Started by torchrun or a like, there are other processes.
    if plain and not {"LOCAL_RANK", "WORLD_SIZE"} & os.environ.keys():
        return cast("Fabric", LoneProcess())
    from lightning.fabric import Fabric

    try:
        fabric = Fabric(
            accelerator=kind,
            devices=[int(number)] if number else launch.devices,
            strategy=launch.strategy,
            **_precision(launch, kind),
        )
    except Exception as error:  # Fabric and its parts raise many kinds for what a machine cannot do.
        why = (str(error) or repr(error)).splitlines()[0].rstrip(".")
        raise UserError(
            f"Training cannot start with --device {kind}, --devices {launch.devices}, --precision {launch.precision}, "
            f"--strategy {launch.strategy}: {why}."
        ) from error
    allow_tf32(fabric.device)
    return fabric


def _precision(launch: Launch, kind: str) -> dict[str, Any]:
    """Fabric's arguments for the precision. Mixed: autocast chooses by operation, and what goes in keeps its digits.

    Fabric would round the inputs as well, so that images, noise and targets had eight bits of bfloat16.
    """
    mixed = launch.precision == "bf16-mixed" or (launch.precision == "16-mixed" and kind != "cpu")
    if not mixed or launch.strategy not in ("auto", "ddp"):
        return {"precision": launch.precision}
    from lightning.fabric.plugins.precision import MixedPrecision

    class ExactInputs(MixedPrecision):
        def convert_input(self, data: Any) -> Any:
            return data

    return {"plugins": [ExactInputs(launch.precision, kind)]}


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Hold the lock of the run in ``output``: two trainings in one folder would overwrite each other.

    Under DDP the first process holds it for all. UserError where another trains there, or it cannot be written.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0" or (output.exists() and not output.is_dir()):
        yield
        return
    path, made = output / _LOCK_FILE, not output.exists()
    busy = f"Another process trains in {output}: wait for its end, or give another --output."
    with alone_with(path, busy):
        try:
            yield
        finally:
            with suppress(OSError):  # Windows unlinks no open file
                path.unlink()
            # A call that was refused leaves nothing behind.
            if made and not any(output.iterdir()):
                output.rmdir()


def check_output(output: Path, what: str, kept: Sequence[str], own: Collection[str], resume: bool) -> None:
    """Refuse a folder that a training would overwrite, or that is another's.

    Args:
        what: is trained, in words.
        kept: files that show that it has begun, the finished model's first.
        own: what else a training that was stopped early leaves.

    Raises:
        UserError: for a file, a folder that something else is in, a training that is not to be continued, and a
            finished model without a checkpoint.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; give --output a folder.")
    used = [name for name in kept if (output / name).is_file()]
    if used and not resume:
        raise UserError(
            f"{output} already holds {what} ({used[0]}): continue it with --resume, or give another --output."
        )
    if used == [kept[0]]:
        raise UserError(f"{output} is finished and has no {CHECKPOINT_FILE} to continue from; give another --output.")
    if not used and output.is_dir():
        foreign = [path.name for path in output.iterdir() if path.name not in own and not path.name.startswith(".")]
        if foreign:
            raise UserError(f"{output} is not empty (it holds {min(foreign)}); give --output a new folder.")


class Clock:
    """Seconds of training over all attempts, against the budget."""

    def __init__(self, before: float, budget: float | None) -> None:
        self.started, self.before, self.budget = time.monotonic(), before, budget

    def seconds(self) -> float:
        """So far."""
        return self.before + time.monotonic() - self.started

    def fraction(self) -> float:
        """The share of the budget that is spent; 0 without one."""
        return 0.0 if self.budget is None else self.seconds() / self.budget

    def over(self) -> bool:
        """Whether the budget is spent."""
        return self.fraction() >= 1.0
