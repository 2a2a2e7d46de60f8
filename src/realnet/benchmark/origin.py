"""Where the synthetic defects of a figure come from, as facts that stand under its table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from realnet.config import SynthesisConfig
from realnet.data.finding import list_images
from realnet.files import read_json
from realnet.synthesis.publications import DEPARTURES
from realnet.synthesis.sia import MARK, folder_of


def origin_of(config: SynthesisConfig, category: str) -> dict[str, str]:
    """How ``config`` makes the defects of ``category``: named facts, in the order they are told in."""
    facts: dict[str, str] = {"source": config.source}
    if config.source == "sia" and config.directory is not None:
        facts |= _of_generated(folder_of(config.directory, category))
    elif config.source == "dtd" and config.directory is not None:
        facts |= {"textures": str(len(list_images([config.directory])))}
    if config.opacity is not None:
        facts["opacity"] = f"{config.opacity[0]:g} to {config.opacity[1]:g}"
    facts["foreground"] = config.foreground
    if config.source in DEPARTURES:
        facts["note"] = DEPARTURES[config.source]
    return facts


def read_mark(folder: Path) -> Mapping[str, Any]:
    """What `sdas sample` says of the set in ``folder``; nothing for images of another origin."""
    try:
        return read_json(folder / MARK)
    except ValueError:
        return {}


def _of_generated(folder: Path) -> dict[str, str]:
    count = str(len(list_images([folder])))
    mark = read_mark(folder)
    if not mark:
        return {"generator": f"unknown: {folder.name} has no {MARK}", "images": count}
    known = {name: str(mark.get(name, "unknown")) for name in ("preset", "low", "high", "steps", "sampler", "seed")}
    return {
        "generator": known["preset"],
        "strength": known["low"] if known["low"] == known["high"] else f"{known['low']} to {known['high']}",
        "images": count,
        "steps": f"{known['steps']} ({known['sampler']})",
        "generator seed": known["seed"],
        "model": str(mark.get("model_sha256", "unknown"))[:12],
    }


def tell(row: str, origins: Sequence[Mapping[str, str]]) -> str:
    """One sentence for the products and seeds of a row; where they differ in a fact, all its values are named."""
    names = dict.fromkeys(name for origin in origins for name in origin)
    parts = []
    for name in names:
        values = list(dict.fromkeys(origin[name] for origin in origins if name in origin))
        parts.append(values[0] if name == "note" else f"{name} {', '.join(values)}")
    return f"Defects of {row}: {'; '.join(parts)}."
