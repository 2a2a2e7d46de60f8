"""Options that several commands take, and their meaning as objects."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.choices import one_inspector
from realnet.cli.completion import (
    complete_category,
    complete_device,
    complete_diffusion_preset,
    complete_kind,
    complete_preset,
)
from realnet.cli.console import say
from realnet.errors import UserError

if TYPE_CHECKING:
    from realnet.cluster.connection import Cluster
    from realnet.data import Category

Data = Annotated[
    str, typer.Argument(help="A data set (MVTec AD, MPDD, BTAD, VisA layout), a folder of good images, or 'elpv'.")
]
GoodOption = Annotated[
    list[str] | None,
    typer.Option(
        "--good",
        help="Folder of good images in DATA, where its name does not say so; repeatable. A dot: all that no folder's "
        "name calls defective.",
    ),
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep", help="A good image that stands out and is good all the same: it is not named again; repeatable."
    ),
]
CategoryOption = Annotated[
    str | None, typer.Option(help="One category of the data set, or 'all' together.", autocompletion=complete_category)
]
SynthesisOption = Annotated[
    str | None, typer.Option(help="How defects are made: dtd, nsa, cutpaste, sia or mix.", autocompletion=complete_kind)
]
SourceOption = Annotated[Path | None, typer.Option(help="Folder of textures (dtd, mix) or of generated images (sia).")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="FIELD=VALUE, such as model.rrs.retention=0.25; repeatable.")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML file with fields to override.")]
PresetOption = Annotated[
    str | None,
    typer.Option(
        help="lite (default), instant, paper or another of `realnet presets`.", autocompletion=complete_preset
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Where the work is done: auto (a GPU where there is one), cpu, cuda, cuda:1, ... or mps.",
        autocompletion=complete_device,
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on where an earlier call with this --output was interrupted.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the results of an earlier call with this --output.")
]
ViewOption = Annotated[
    Path | None, typer.Option(help="Where to look: an image in which that is not black, or JSON with polygons.")
]
AlignOption = Annotated[
    str | None, typer.Option(help="Bring each image to where a reference has the part: shift, or rigid (turned, too).")
]
ReferenceOption = Annotated[Path | None, typer.Option(help="The image to align to (default: the first good image).")]
RayOption = Annotated[
    str | None,
    typer.Option(
        help="Spread the work over a Ray cluster: local (this machine), auto (that of this machine) or HOST:PORT."
    ),
]
RayCpus = Annotated[
    float | None, typer.Option(help="Cores for each piece of work on the cluster (default: 1).", min=0.1)
]
RayGpus = Annotated[float | None, typer.Option(help="GPUs likewise, also a part of one (default: 0).", min=0)]
TimeBudgetOption = Annotated[str | None, typer.Option(help="Train what fits in this time, such as 10m.")]
DevicesOption = Annotated[int, typer.Option(help="How many of them (DDP where more than one).", min=1)]
PrecisionOption = Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.")]
StrategyOption = Annotated[str, typer.Option(help="Fabric's strategy, such as ddp.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")]
ProtocolOption = Annotated[
    str, typer.Option(help="exact, or realnet: the authors' evaluator, to compare with published tables.")
]
DiffusionPresetOption = Annotated[
    str | None,
    typer.Option(
        help="paper, gpu, cpu or lite (default: gpu with an NVIDIA GPU, otherwise lite).",
        autocompletion=complete_diffusion_preset,
    ),
]
InitOption = Annotated[
    Path | None, typer.Option(help="A checkpoint in guided diffusion's layout to start from (preset paper).")
]
SeedOption = Annotated[int | None, typer.Option(help="Seed of everything random.", min=0)]


def open_one(data: str, category: str | None, good: list[str] | None = None) -> "list[Category]":
    """As :func:`realnet.choices.one_inspector`, once what was made of the folders has been said."""
    categories = one_inspector(data, category, good or ())
    say_summary(categories)
    return categories


def say_summary(categories: "Sequence[Category]") -> None:
    """What was made of the folders, in a few lines."""
    from realnet.data import summarize

    say(*summarize(categories))


def check_png(output: Path) -> None:
    """Refuse a sheet that is no PNG."""
    if output.suffix.lower() != ".png":
        raise UserError(f"The sheet is written as PNG: name --output something.png, not {output.name}.")


def refuse_shares(cpus: float | None, gpus: float | None) -> None:
    """Refuse ``--ray-cpus`` and ``--ray-gpus`` where no cluster is named; UserError for either."""
    if cpus is not None or gpus is not None:
        raise UserError("--ray-cpus and --ray-gpus are shares of a cluster: name it with --ray.")


@contextlib.contextmanager
def ray_cluster(address: str | None, cpus: float | None, gpus: float | None) -> "Iterator[Cluster | None]":
    """The cluster that ``--ray`` and its shares name, while the block runs; UserError where there is none so large."""
    if address is None:
        refuse_shares(cpus, gpus)
        yield None
        return
    from realnet.cluster.connection import Share, connected

    with connected(address, Share(1 if cpus is None else cpus, gpus or 0)) as cluster:
        yield cluster


def torch_device(name: str, parts: int = 1) -> str:
    """As :func:`realnet.acceleration.use_device`, said in the terminal."""
    from realnet.acceleration import use_device

    return use_device(name, say, parts)
