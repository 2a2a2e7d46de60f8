"""Figures of maps made elsewhere (`realnet score --json`), in a table beside our own."""

from collections.abc import Sequence
from pathlib import Path

from realnet.benchmark.expand import Entry
from realnet.benchmark.jobs import Outcome
from realnet.benchmark.plan import REPORTED, Plan, Row
from realnet.benchmark.products import DataFolder
from realnet.benchmark.runner import Finished
from realnet.errors import UserError
from realnet.evaluation.results import Results


def add_scored(plan: Plan, data_folder: DataFolder, files: Sequence[Path]) -> tuple[Plan, list[Finished]]:
    """``plan`` with a row for the method of each file, and its figures of the products at hand.

    A row that the plan has under the method's name, with the paper's figures only, is filled in its place. UserError
    for a file that holds no results, of no product at hand, or of a method that the plan runs itself.
    """
    finished: list[Finished] = []
    for file in files:
        results = _read(file)
        name = results.provenance.preset
        row = next((row for row in plan.rows if row.name.lower() == name.lower()), None)
        if row is None:
            row = Row(name=name, method=REPORTED)
            plan = plan.model_copy(update={"rows": (*plan.rows, row)})
        elif row.method != REPORTED or any(done.entry.row == row for done in finished):
            raise UserError(f"{file} holds figures of {name}, which {plan.name} has already; give it another --name.")
        known = {product.name for product in data_folder.products}
        own = [part for part in results.categories if part.category in known]
        if not own:
            judged = ", ".join(part.category for part in results.categories)
            raise UserError(f"{file} holds figures of {judged}, none of which is asked for.")
        for part in own:
            alone = results.model_copy(update={"overall": part, "categories": (part,)})
            finished.append(Finished(Entry(row, part.category, 0, None), Outcome(results=alone, notes=results.notes)))
    return plan, finished


def _read(file: Path) -> Results:
    try:
        return Results.from_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read; give what `realnet score --json` wrote.") from error
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
