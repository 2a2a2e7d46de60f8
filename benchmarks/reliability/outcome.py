"""What a part found: one JSON file a part, and a Markdown summary of all of them."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from realnet import __version__

PARTS = ("malformed", "load", "kills", "hostile", "disk", "week")


@dataclass
class Line:
    """One line of the summary.

    Attributes:
        what: was done, ``count`` times.
        failures: one sentence each; none is what is wanted.
        remarks: figures worth a cell of the table.
    """

    what: str
    count: int
    failures: list[str] = field(default_factory=list)
    remarks: str = ""


@dataclass
class Outcome:
    """Of one part: lines for the table, and ``details`` for those who want to know more."""

    part: str
    lines: list[Line] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        """Of all lines."""
        return sum(len(line.failures) for line in self.lines)


def machine() -> str:
    """The processor and what runs on it, in words."""
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"PyTorch {version('torch')}"
    )


def write(outcome: Outcome, output: Path, options: Mapping[str, Any]) -> None:
    """Write ``PART.json``, and ``summary.md`` of all parts whose JSON lies in ``output``."""
    output.mkdir(parents=True, exist_ok=True)
    record = {
        "part": outcome.part,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "realnet": __version__,
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in options.items()},
        "failures": outcome.failures,
        "lines": [asdict(line) for line in outcome.lines],
        "details": outcome.details,
    }
    (output / f"{outcome.part}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (output / "summary.md").write_text(summary(output), encoding="utf-8")


def summary(output: Path) -> str:
    """The Markdown table of what is known so far, and every failure below it."""
    lines = ["| part | what | count | failures | remarks |", "|---|---|---:|---:|---|"]
    failures, machines = [], set()
    for part in PARTS:
        path = output / f"{part}.json"
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        machines.add(record["machine"])
        for line in record["lines"]:
            cells = (part, line["what"], f"{line['count']:,}", f"{len(line['failures']):,}", line["remarks"])
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
            failures += [f"- {part}, {line['what']}: {_cell(failure)}" for failure in line["failures"]]
    lines += ["", "; ".join(sorted(machines)) + "."]
    if failures:
        lines += ["", "Failures:", "", *failures]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode().replace("|", "\\|").replace("\n", " ")
