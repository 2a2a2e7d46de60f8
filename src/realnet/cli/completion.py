"""What the shell offers on Tab, where the package knows the answer; none of it loads torch."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

from realnet.config import SynthesisName
from realnet.diffusion.diffusion_presets import diffusion_presets
from realnet.errors import UserError
from realnet.manifest import ExportFormat
from realnet.presets import presets


def _beginning(names: Iterable[str], typed: str) -> list[str]:
    return [name for name in names if name.startswith(typed)]


def _one_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """What offers ``names``."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(names, incomplete)

    return complete


complete_preset = _one_of(presets)
complete_diffusion_preset = _one_of(diffusion_presets)
complete_kind = _one_of(get_args(SynthesisName))
complete_export = _one_of(get_args(ExportFormat))
# Which of them are there only torch knows.
complete_device = _one_of(("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"))


def complete_table(incomplete: str) -> list[str]:
    """Formats of tables of results."""
    from realnet.inspection.tables import FORMATS

    return _beginning(FORMATS, incomplete)


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
