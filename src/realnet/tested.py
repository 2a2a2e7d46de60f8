"""What a run is tested on: images that it has not seen, of the product that it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from realnet.data import Category, check_dataset, open_dataset, summarize
from realnet.errors import advise
from realnet.progress import Watcher
from realnet.run_folder import Run, open_run


@dataclass(frozen=True)
class Trial:
    """What a run is measured on.

    Attributes:
        data: name of the data set, for the record.
        categories: whose test images these are.
        caveats: why every figure is to be marked.
    """

    run: Run
    data: str
    categories: Sequence[Category]
    caveats: Sequence[str] = ()


def choose_tests(
    folder: str | Path, data: str | Path, category: str | None, good: Sequence[str], force: bool, watcher: Watcher
) -> Trial:
    """The categories to measure the run in ``folder`` on, checked: those named, or what it was trained on where there.

    ``good`` names folders of good images in ``data``. UserError for a folder that is no run, where something is wrong
    with the images, or where the run has seen some and that is not forced.
    """
    run = open_run(folder)
    categories, seen = run.tests_of(open_dataset(Path(data), category, good))
    for line in summarize(categories, evaluating=True):
        watcher.say(line)
    for line in check_dataset(categories, need_test=True, need_train=False):
        watcher.say(line)
    tests = Trial(run, Path(data).name, categories)
    if not seen:
        return tests
    sentence = seen.sentence(run.folder, sum(len(one.test) for one in categories))
    if not force:
        marked = "every figure is marked then."
        raise advise(
            f"{sentence} Evaluate others, or go on with", f"force=True: {marked}", f"--force: {marked}",
        )  # fmt: skip
    return replace(tests, caveats=(sentence,))
