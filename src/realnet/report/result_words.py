"""Results in words and cells, the same on a terminal as in the report."""

from collections.abc import Iterator, Sequence

from realnet.evaluation.results import METRICS, Figures, Results


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


def _rows_of(results: Results) -> Iterator[tuple[Figures, bool]]:
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
    for row, strong in _rows_of(results):
        cells = [row.category, row.defect or "all kinds"] if several else [row.defect or "all kinds"]
        if thresholded:
            cells += [f"{row.missed} of {row.defective}{row.mark}", f"{row.false_alarms} of {row.good}{row.mark}"]
        else:
            cells += [str(row.defective), str(row.good)]
        rows.append(([*cells, *(row.text(name) for name in metrics)], strong))
    return header, rows
