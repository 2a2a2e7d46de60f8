"""The figures of the paper's tables, as they were printed: to stand beside one's own, never instead of them.

Zhang, Xu and Zhou: RealNet, CVPR 2024, tables 1 to 5 and S1 to S6. What was printed in per cent is kept as 0..1;
speeds, sizes, FID and LPIPS keep their units. Nothing is corrected: a mean that does not fit its column stays so.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field, model_validator

from realnet.benchmark.plan import package_names
from realnet.config import Node
from realnet.errors import UserError


class Reported(Node):
    """A printed figure, and its deviation where one is printed."""

    value: float
    deviation: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_number_alone(cls, given: Any) -> Any:
        return {"value": given} if isinstance(given, int | float) else given


class ReportedRow(Node):
    """The figures of one method for one product; a dash in print is left out.

    Attributes:
        label: the method or setting as the table names it, without its reference.
        category: the product as the table names it; None for the mean of all, or where there are no products.
        figures: by the names of `realnet.benchmark.columns.COLUMNS`.
    """

    label: str
    category: str | None = None
    figures: dict[str, Reported] = Field(min_length=1)


class ReportedTable(Node):
    """A table of the paper.

    Attributes:
        dataset: that the figures are of.
        metrics: what they are, in order.
        rows: in the order of print.
    """

    dataset: str
    metrics: tuple[str, ...]
    rows: tuple[ReportedRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rows_are_told_apart(self) -> "ReportedTable":
        keys = [(_plain(row.label), row.category and _plain(row.category)) for row in self.rows]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"two rows are {min(twice, key=str)}")
        unknown = {name for row in self.rows for name in row.figures} - set(self.metrics)
        if unknown:
            raise ValueError(f"{min(unknown)} is none of the metrics")
        return self

    def figure(self, row: str, category: str | None, metric: str) -> Reported | None:
        """The printed figure; None where the table has none.

        Of ``row`` case and spaces do not matter, of ``category`` (None: the mean of all) ``_`` and ``-`` neither.
        """
        wanted = _plain(row), None if category is None else _plain(category, "_-")
        for found in self.rows:
            own = None if found.category is None else _plain(found.category, "_-")
            if (_plain(found.label), own) == wanted:
                return found.figures.get(metric)
        return None


@cache
def reported(table: str) -> ReportedTable:
    """The paper's table ``table1`` to ``4``, ``table5a``, ``table5b``, ``tableS1`` to ``S6``; UserError for others."""
    known = package_names("reported")
    if table not in known:
        raise UserError(f"There is no reported table {table!r}: use {', '.join(known)}.")
    text = files("realnet.benchmark").joinpath("reported", f"{table}.yaml").read_text(encoding="utf-8")
    return ReportedTable.model_validate(yaml.safe_load(text))


def _plain(name: str, ignored: str = "") -> str:
    return "".join(character for character in name.casefold() if not character.isspace() and character not in ignored)
