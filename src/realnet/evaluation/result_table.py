"""Results as a table: on a terminal, in Markdown."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from realnet.evaluation.results import METRICS, Figures, Results

_NUMBERS = frozenset(["Missed", "False alarms", "Defective", "Good", *(metric.title for metric in METRICS.values())])


def to_table(results: Results) -> Table:
    """A rich table of what fits a terminal: without F1-max; its caption says what was done."""
    header, rows = cells_of(results, [name for name in shown_metrics(results) if not name.endswith("f1_max")])
    table = table_with_remarks(heading(results), remarks(results))
    for name in header:
        # A title breaks between its words, a figure never.
        width = max(5, *(len(word) for word in name.split())) if name in _NUMBERS else None
        table.add_column(Text(name), justify="right" if name in _NUMBERS else "left", min_width=width, overflow="fold")
    for cells, strong in rows:
        table.add_row(*(Text(cell) for cell in cells), style="bold" if strong else None)
    return table


def table_with_remarks(title: str, remarks: Sequence[str]) -> Table:
    """An empty rich table in the style of all figures, its remarks below."""
    return Table(
        title=Text(title, style="table.title"),
        caption=Text("\n".join(remarks), style="table.caption"),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
    )


def to_markdown(results: Results) -> str:
    """All figures as a Markdown table with its remarks."""
    header, rows = cells_of(results, shown_metrics(results))
    sides = ["--:" if name in _NUMBERS else "---" for name in header]
    lines = [f"**{markdown_text(heading(results))}**", "", markdown_line(header), markdown_line(sides)]
    lines += [
        markdown_line([f"**{markdown_text(c)}**" if strong else markdown_text(c) for c in cells])
        for cells, strong in rows
    ]
    lines += [""] + [f"- {markdown_text(remark)}" for remark in remarks(results)]
    return "\n".join(lines) + "\n"


def heading(results: Results) -> str:
    """Data, split and preset (or method, where the maps were made elsewhere) in one line."""
    facts = results.provenance
    origin = f"method {facts.preset}" if facts.seed is None else f"preset {facts.preset}, seed {facts.seed}"
    return f"{facts.data}, {facts.split} images, {origin}"


def remarks(results: Results) -> list[str]:
    """What a reader of the figures must know: protocol, score, selection, what is missing."""
    facts = results.provenance
    lines = [f"Image score: {facts.image_score}. PRO up to a false positive rate of {facts.fpr_limit:g}."]
    if facts.pixels == "image":
        lines.append("Pixel figures at the size of each image, as MVTec's own evaluation.")
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


def cells_of(results: Results, metrics: Sequence[str]) -> tuple[list[str], list[tuple[list[str], bool]]]:
    """The header, and the cells of each row with whether it stands out.

    ``metrics`` names the figures to show; missed defects and false alarms stand before them where a threshold
    was given, the numbers of images otherwise, and the category where there are several.
    """
    several = len(results.categories) > 1
    thresholded = results.overall.missed is not None
    header = ["Category", "Defect"] if several else ["Defect"]
    header += ["Missed", "False alarms"] if thresholded else ["Defective", "Good"]
    header += [METRICS[name].title for name in metrics]
    rows = []
    for row, strong in rows_of(results):
        cells = [row.category, row.defect or "all kinds"] if several else [row.defect or "all kinds"]
        if thresholded:
            cells += [f"{row.missed} of {row.defective}{row.mark}", f"{row.false_alarms} of {row.good}{row.mark}"]
        else:
            cells += [str(row.defective), str(row.good)]
        rows.append(([*cells, *(row.text(name) for name in metrics)], strong))
    return header, rows


def markdown_line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def markdown_text(text: str) -> str:
    """``text`` as Markdown shows it as it is: names of folders must not break a table or start markup."""
    for character in "\\|*_`<>[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
