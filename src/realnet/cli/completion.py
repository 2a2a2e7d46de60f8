"""What the shell offers on Tab, where the package knows the answer; none of it loads torch."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from realnet.errors import UserError


def _beginning(names: Iterable[str], typed: str) -> list[str]:
    return [name for name in names if name.startswith(typed)]


def complete_preset(incomplete: str) -> list[str]:
    """Presets of ``realnet train``."""
    from realnet.presets import presets

    return _beginning(presets, incomplete)


def complete_diffusion_preset(incomplete: str) -> list[str]:
    """Presets of ``realnet sdas``."""
    from realnet.diffusion.diffusion_presets import diffusion_presets

    return _beginning(diffusion_presets, incomplete)


def complete_kind(incomplete: str) -> list[str]:
    """Kinds of synthetic defects."""
    from realnet.config import SynthesisConfig

    return _beginning(get_args(SynthesisConfig.model_fields["source"].annotation), incomplete)


def complete_device(incomplete: str) -> list[str]:
    """Devices by name; which of them are there only torch knows."""
    return _beginning(("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"), incomplete)


def complete_table(incomplete: str) -> list[str]:
    """Formats of tables of results."""
    from realnet.inspection.tables import FORMATS

    return _beginning(FORMATS, incomplete)


def complete_export(incomplete: str) -> list[str]:
    """Formats of exports."""
    from realnet.manifest import ExportFormat

    return _beginning(get_args(ExportFormat), incomplete)


def complete_plan(incomplete: str) -> list[str]:
    """Tables that ``realnet benchmark`` knows."""
    from realnet.benchmark.plan import plan_names

    return _beginning(plan_names(), incomplete)


def complete_category(ctx: Any, incomplete: str) -> list[str]:
    """Categories of the data set that the command line names."""
    from realnet.data import open_dataset

    data = ctx.params.get("data")
    first = data[0] if isinstance(data, list | tuple) and data else data
    if not first:
        return []
    try:
        names = [category.name for category in open_dataset(Path(first))]
    except (UserError, OSError):
        return []
    return _beginning([*names, "all"], incomplete)
