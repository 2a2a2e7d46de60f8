"""What a person chooses, by options or in Python, as the configuration has it; says nothing and imports no torch."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realnet.calibration import rate
from realnet.config import Config
from realnet.errors import UserError, advise
from realnet.overriding import leaves, override

if TYPE_CHECKING:
    from realnet.data import Category


def configuration(
    preset: str | None,
    assignments: list[str] | None,
    file: Path | None,
    synthesis: str | None,
    source: Path | None,
    seed: int | None,
) -> Config:
    """The configuration by preset, YAML file, ``--set``, then the named options; UserError where one is unknown."""
    from realnet.presets import preset_called

    named = []
    if synthesis is not None:
        named.append(f"synthesis.source={synthesis}")
    if seed is not None:
        named.append(f"seed={seed}")
    config = override(preset_called(preset or "lite"), (assignments or []) + named, file)
    if source is not None:
        if config.synthesis.source in ("nsa", "cutpaste"):
            raise UserError(f"--source is for dtd, sia and mix; {config.synthesis.source} uses the good images alone.")
        if not source.is_dir():
            raise UserError(f"The source folder {source} does not exist; check --source.")
        part = config.synthesis.model_copy(update={"directory": source.resolve()})
        config = config.model_copy(update={"synthesis": part})
    return config


def assignments(fields: Mapping[str, Any]) -> list[str]:
    """Fields given in Python as ``FIELD=VALUE``, as ``--set`` has them.

    ``{"training": {"steps": 100}}`` and ``{"training.steps": 100}`` mean the same.
    """
    # JSON is YAML, in which a text may hold anything.
    return [f"{name}={json.dumps(value, default=str)}" for name, value in leaves(fields)]


def one_inspector(data: str | Path, category: str | None, good: Sequence[str]) -> "list[Category]":
    """The categories of ``data`` for one inspector: of several, one that is named, or ``all``; UserError otherwise."""
    from realnet.data import open_dataset

    categories = open_dataset(Path(data), category, good)
    if category is None and len(categories) > 1:
        raise advise(
            f"{data} has several categories: name one of {', '.join(one.name for one in categories)}",
            "as category=..., or category='all' for one inspector of them all.",
            "with --category, or --category all for one inspector of them all.",
        )
    return categories


def default_run(data: Path, categories: "Sequence[Category]", resume: bool, devices: int) -> Path:
    """``runs/NAME`` by the product's name; where that folder is in use ``runs/NAME-2`` and so on.

    Of data in a folder that is only called good or the like, the folder around it gives the name. ``resume``: the last
    of these folders. UserError with several devices, whose processes could not agree on one; for nothing to resume.
    """
    from realnet.data.vocabulary import meaning

    if devices > 1:
        raise UserError("With several --devices name the folder of the run with --output.")
    folder = data.resolve()
    product = folder.parent if meaning(folder.name).label == "good" and folder.parent.name else folder
    name = categories[0].name if len(categories) == 1 and categories[0].name != folder.name else product.name
    return numbered(Path("runs"), name, resume)


def numbered(folder: Path, name: str, resume: bool) -> Path:
    """``folder/name``, if in use ``folder/name-2`` and so on; to resume, the last; UserError for nothing to resume."""
    last, number = None, 1
    while (place := folder / (name if number == 1 else f"{name}-{number}")).exists():
        last, number = place, number + 1
    if not resume:
        return place
    if last is None:
        raise UserError(f"There is no {place} to resume: name the folder with --output.")
    return last


def training_configuration(
    data: str | Path,
    categories: "Sequence[Category]",
    preset: str | None,
    assignments: list[str],
    file: Path | None,
    say: Callable[[str], None],
    *,
    synthesis: str | None = None,
    source: Path | None = None,
    seed: int | None = None,
    select: str | None = None,
    false_alarms: str | float | None = None,
    tolerate: str | None = None,
    view: Path | None = None,
    align: str | None = None,
    reference: Path | None = None,
) -> Config:
    """The configuration of a training: as :func:`configuration`, with what has a name of its own; UserError likewise.

    ``say`` is told what was found in ``data``: generated images to train with, the image to align to.
    """
    chosen = list(assignments)
    if select is not None:
        chosen.append(f"training.select={select}")
    if false_alarms is not None:
        chosen.append(f"training.false_alarms={rate(str(false_alarms))}")
    chosen += tolerance(tolerate)
    looked, aligned_to = view_settings(view, align, reference, categories)
    chosen += looked
    if aligned_to is not None:
        say(f"Images are aligned to {aligned_to}.")
    kind, origin = find_synthesis(Path(data), categories, synthesis, source, assignments, file)
    if kind != synthesis:
        say(f"Generated images of this product in {origin}: defects are made of them (synthesis sia).")
    return configuration(preset, chosen, file, kind, origin, seed)


def find_synthesis(
    data: Path,
    categories: "Sequence[Category]",
    synthesis: str | None,
    source: Path | None,
    assignments: list[str] | None,
    file: Path | None,
) -> tuple[str | None, Path | None]:
    """``synthesis`` and ``source`` as given; where no kind was chosen and there are generated images, ``sia`` and them.

    A configuration file, or a field of ``synthesis`` set by hand, counts as a choice; so do several categories in one
    inspector, which the images of one cannot serve.
    """
    chosen = synthesis is not None or file is not None
    chosen = chosen or any(assignment.strip().startswith("synthesis.") for assignment in assignments or [])
    from realnet.synthesis.sia import generated_images

    found = None if chosen or len(categories) != 1 else generated_images(data, categories[0].name, source)
    return (synthesis, source) if found is None else ("sia", found)


def seconds(text: str | None) -> float | None:
    """A duration such as ``90s``, ``10m`` or ``1.5h``, in seconds; UserError for anything else, also a bare number."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip().lower())
    value = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if value <= 0:
        raise UserError(f"{text!r} is no duration: write it with its unit, such as 90s, 10m or 1.5h.")
    return value


def tolerance(text: str | None) -> list[str]:
    """Settings of ``training.tolerance`` for a text as ``shift=5%,rotation=3,light=20%``; UserError for others."""
    if text is None:
        return []
    chosen = []
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        share = name in ("shift", "light")
        number = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", value)
        if name not in ("shift", "rotation", "light") or number is None or (number[2] and not share):
            raise UserError(
                f"--tolerate {part.strip()!r} is not understood: write shift=5%,rotation=3,light=20%, or some of them; "
                "shift and light are shares, rotation is in degrees."
            )
        chosen.append(f"training.tolerance.{name}={float(number[1]) / (100 if number[2] else 1)}")
    return chosen


def view_settings(
    view: Path | None, align: str | None, reference: Path | None, categories: "Sequence[Category]"
) -> tuple[list[str], Path | None]:
    """Settings of ``model.view`` for ``--view``, ``--align``, ``--reference``, and the image to align to; UserError."""
    chosen = []
    if view is not None:
        from realnet.view.polygons import read_polygons

        points = [[[round(x, 6), round(y, 6)] for x, y in polygon] for polygon in read_polygons(view)]
        chosen.append(f"model.view.polygons={points}")
    if align is None:
        if reference is not None:
            raise UserError("--reference is what images are aligned to: say how with --align shift or --align rigid.")
        return chosen, None
    if align not in ("shift", "rigid"):
        raise UserError(f"--align is shift or rigid, not {align!r}.")
    if reference is None:
        reference = next((sample.image for category in categories for sample in category.train), None)
    if reference is None or not reference.is_file():
        raise UserError(f"The reference image {reference} does not exist; check --reference.")
    # YAML, in which a path may hold anything.
    place = json.dumps(str(reference.resolve()))
    return [*chosen, f"model.view.align={align}", f"model.view.reference={place}"], reference
