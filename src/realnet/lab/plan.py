"""Plans: what a table of the paper consists of, as YAML that is checked before anything runs."""

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from realnet.config import SynthesisName, first_problem
from realnet.errors import UserError

REALNET, REPORTED, QUALITY = "realnet", "reported", "quality"


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Node):
    """One way of doing it: a row or a column of the table.

    Attributes:
        name: as the table shows it.
        method: ``realnet``; the name of a peer of anomalib; ``quality`` for the images of a synthesis themselves; or
            ``reported`` where only the paper's figure is shown.
        reported: the label of the paper's figures, where it is another than ``name``.
        synthesis: how RealNet's defects are made; None: the plan's.
        strength: s of the generated images, one value or the ends of a range.
        preset: instead of the one asked for: the row is about this very preset.
        set: fields of the configuration, ``FIELD: value``; of a peer: its options.
        dimensions: factor of the m_k.
        together: one inspector for all products (the multi-class setting).
        series, x: where the row stands in the plan's chart.
        only_with: run only with this preset.
    """

    name: str
    method: str = REALNET
    reported: str | None = None
    synthesis: SynthesisName | None = None
    strength: tuple[float, float] | None = None
    preset: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    dimensions: float | None = Field(None, gt=0)
    together: bool = False
    series: str | None = None
    x: float | None = None
    only_with: str | None = None

    @property
    def label(self) -> str:
        """What the paper's table calls it."""
        return self.reported or self.name


class Plan(_Node):
    """A table.

    Attributes:
        name: the plan's own, such as ``table1``.
        title: heading of the table.
        question: what the table answers, in a sentence.
        layout: ``categories``: a line a product, a column a row of the plan; ``methods``: a line a row of the plan.
        metrics: what is shown.
        reported: the paper's table that its figures are taken from; None: there is none.
        synthesis: of RealNet where a row names none.
        chart: the title of the horizontal axis, for a plan whose rows have x and series; None: bars.
        rows: what is compared.
    """

    name: str
    title: str
    question: str
    layout: Literal["categories", "methods"] = "methods"
    metrics: tuple[str, ...] = ("image_auroc", "pixel_auroc", "pro")
    reported: str | None = None
    synthesis: SynthesisName = "sia"
    chart: str | None = None
    rows: tuple[Row, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> "Plan":
        names = [row.name.lower() for row in self.rows]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two rows are called {min(twice)}")
        from realnet.lab.columns import COLUMNS

        unknown = [name for name in self.metrics if name not in COLUMNS]
        if unknown:
            raise ValueError(f"there is no metric {unknown[0]}; use {', '.join(COLUMNS)}")
        if self.chart and any(row.x is None or row.series is None for row in self.rows):
            raise ValueError("a plan with a chart needs x and series in every row")
        return self


def plan_names() -> list[str]:
    """The plans that come with the package."""
    found = files("realnet.lab").joinpath("plans")
    return sorted(entry.name.removesuffix(".yaml") for entry in found.iterdir() if entry.name.endswith(".yaml"))


def read_plan(name: str) -> Plan:
    """The plan of the package called ``name``, or the one in the YAML file ``name``.

    Raises:
        UserError: where there is none, or it says something that cannot be done.
    """
    known = {plan.lower(): plan for plan in plan_names()}
    if name.lower() in known:
        name = known[name.lower()]
        text = files("realnet.lab").joinpath("plans", f"{name}.yaml").read_text(encoding="utf-8")
    elif Path(name).suffix in (".yaml", ".yml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The plan {name} cannot be read; check the path.") from error
        name = Path(name).stem
    else:
        raise UserError(
            f"There is no plan {name!r}: choose one of {', '.join(known.values())}, or give a .yaml file of your own."
        )
    return parse_plan(name, text)


def parse_plan(name: str, text: str) -> Plan:
    """A plan from its YAML.

    Raises:
        UserError: naming the field that is wrong.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"The plan {name} is no YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(tree, dict):
        raise UserError(f"The plan {name} holds no table of fields; write it like those of the package.")
    try:
        return Plan.model_validate({"name": name, **tree})
    except ValidationError as error:
        raise UserError(f"The plan {name} is wrong: {first_problem(error)}.") from error
