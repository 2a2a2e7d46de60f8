"""``realnet teach``."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.console import console
from realnet.cli.options import DeviceOption, GoodOption, check_run, torch_device
from realnet.errors import UserError


def teach(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of preset lite or instant.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Further good images: files, folders, or a data set, of which the good ones are taken."),
    ] = None,
    good: GoodOption = None,
    feedback: Annotated[
        Path | None,
        typer.Option(
            "--feedback",
            help="Results store: the images that people confirmed as good join; confirmed defects show what it costs.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Go on although a confirmed defect that was found would be missed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come out, and change nothing.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Add good images to a finished run in seconds: what differs as they do is no defect any more; nothing is trained.

    The version before is kept: `realnet calibrate RUN --undo`. Servers that run take the new one up by themselves.
    """
    if not images and feedback is None:
        raise UserError("Give good images, or --feedback with a results store.")
    if good and not images:
        raise UserError("--good is about a data set: give it as well.")
    check_run(run)

    from realnet.calibration import read_calibration
    from realnet.history import Store
    from realnet.training.correcting import apply_correction, check_some, prepare_correction, read_labelled
    from realnet.training.teaching import check_teachable

    check_teachable(run)
    before = read_calibration(run)
    chosen = _files(images, good or []) if images else []
    with tempfile.TemporaryDirectory(prefix="realnet-") as folder:
        defects: tuple[tuple[Path, str], ...] = ()
        if feedback is not None:
            store = Store(feedback, make=False)
            labelled = read_labelled(run, store, Path(folder))
            if labelled.lost:
                _say(labelled.sentence())
            chosen, defects = [*chosen, *labelled.good], labelled.defects
            check_some(run, chosen, store)
        place = torch_device(device)
        with console.status("Reading") as status:
            correction = prepare_correction(
                run, chosen, defects, place, lambda text, done=0, total=0: status.update(text)
            )
    _say(*correction.sentences())
    made = correction.lesson.calibration if dry_run else apply_correction(run, correction, force)
    _say(*made.sentences())
    if before is not None:
        _say(f"The threshold was {before.score:.4f}.")
        if before.good_digests:
            _say(
                f"It rested on {len(before.good_digests)} images given to `realnet calibrate`, which the run does not "
                "keep and which count no more: calibrate again, or teach it those, too."
            )
    if dry_run:
        _say("Nothing is changed (--dry-run).")
    else:
        _say(f"This is calibration {made.version} of {run}; back with: realnet calibrate {run} --undo")


def _files(images: list[Path], good: list[str]) -> list[tuple[Path, str]]:
    """The good images among ``images`` and what they are called; what is taken and what is not is said."""
    from realnet.data import open_good
    from realnet.data.summary import describe_not_used

    chosen = open_good(images, good)
    _say(*describe_not_used(chosen.left_out))
    return [(sample.image, sample.name) for sample in chosen.train]


def _say(*sentences: str) -> None:
    for sentence in sentences:
        console.print(sentence, soft_wrap=True, markup=False, highlight=False)
