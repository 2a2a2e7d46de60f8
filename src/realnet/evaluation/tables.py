"""Results as a table: on a terminal, in Markdown."""

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from realnet.evaluation.results import METRICS, Figures, Results


def to_table(results: Results) -> Table:
    """A rich table: a row a kind of defect, a category, and all categories; its caption says what was done."""
    header, rows = _cells(results)
    table = Table(title=escape(heading(results)), caption=escape("\n".join(remarks(results))), caption_justify="left")
    for index, name in enumerate(header):
        table.add_column(escape(name), justify="left" if index < 2 else "right")
    for cells, strong in rows:
        table.add_row(*(escape(cell) for cell in cells), style="bold" if strong else None)
    return table


def to_markdown(results: Results) -> str:
    """The same as a Markdown table with its remarks."""
    header, rows = _cells(results)
    lines = [
        f"**{_plain(heading(results))}**",
        "",
        _line(header),
        _line(["---", "---"] + ["--:"] * (len(header) - 2)),
    ]
    lines += [_line([f"**{_plain(c)}**" if strong else _plain(c) for c in cells]) for cells, strong in rows]
    lines += [""] + [f"- {_plain(remark)}" for remark in remarks(results)]
    return "\n".join(lines) + "\n"


def heading(results: Results) -> str:
    """Data, split and preset in one line."""
    facts = results.provenance
    return f"{facts.data}, {facts.split} images, preset {facts.preset}, seed {facts.seed}"


def remarks(results: Results) -> list[str]:
    """What a reader of the figures must know: protocol, score, selection, what is missing."""
    facts = results.provenance
    lines = [f"Image score: {facts.image_score}. PRO up to a false positive rate of {facts.fpr_limit:g}."]
    if facts.protocol == "realnet":
        lines.append(
            "Protocol realnet: the authors' evaluator (AUROC below 0.5 flipped, 1,000 thresholds, filled regions), "
            "for comparison with published tables only."
        )
    if facts.selection == "oracle":
        lines.append("(oracle): the checkpoint was selected by these test images; the figures flatter the model.")
    if len(results.categories) > 1:
        lines.append(f"all: the mean over {len(results.categories)} categories, of those in which it is defined.")
    return lines + list(results.notes)


def rows_of(results: Results) -> Iterator[tuple[Figures, bool]]:
    """The rows in the order of a table, with whether one stands out: defects, their category, ..., all."""
    for category in results.categories:
        for row in results.defects:
            if row.category == category.category:
                yield row, False
        yield category, len(results.categories) == 1
    if len(results.categories) > 1:
        yield results.overall, True


def shown_metrics(results: Results) -> list[str]:
    """Names of the figures that are defined anywhere."""
    rows = [results.overall, *results.categories, *results.defects]
    return [name for name in METRICS if any(getattr(row, name) is not None for row in rows)] or ["image_auroc"]


def _cells(results: Results) -> tuple[list[str], list[tuple[list[str], bool]]]:
    metrics = shown_metrics(results)
    thresholded = results.overall.missed is not None
    header = ["Category", "Defect", "Good", "Defective", *(METRICS[name].title for name in metrics)]
    header += ["Missed", "False alarms"] if thresholded else []
    rows = []
    for row, strong in rows_of(results):
        cells = [row.category, row.defect or "all kinds", str(row.good), str(row.defective)]
        cells += [row.text(name) for name in metrics]
        cells += [str(row.missed), str(row.false_alarms)] if thresholded else []
        rows.append((cells, strong))
    return header, rows


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Names of folders must not break a table or start markup."""
    for character in "\\|*_`<>[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
