"""``realnet teach``."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.cli.console import console, plural
from realnet.cli.options import DeviceOption, GoodOption, check_run, torch_device
from realnet.errors import UserError

if TYPE_CHECKING:
    from realnet.history import Labelled
    from realnet.training.teaching import Lesson


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
    from realnet.training.teaching import check_teachable, compare_defects, learn, save_lesson

    check_teachable(run)
    before = read_calibration(run)
    with tempfile.TemporaryDirectory(prefix="realnet-") as folder:
        labelled = None if feedback is None else _labelled(run, feedback, Path(folder))
        chosen = _files(images, good or []) if images else []
        if labelled is not None:
            chosen += labelled.good
        if not chosen:
            raise UserError(f"Nobody has confirmed an image of {run} as good yet: {feedback} holds none of them.")
        place = torch_device(device)
        with console.status("Reading") as status:
            lesson = learn(
                run, [file for file, _ in chosen], [name for _, name in chosen], place,
                lambda text, done=0, total=0: status.update(text),
            )  # fmt: skip
            defects = [] if labelled is None else list(labelled.defects)
            status.update(f"Judging {plural(len(defects), 'confirmed defect')}")
            compared = compare_defects(run, lesson, [file for file, _ in defects], place)
    _say(*_learned(lesson, 0.0 if before is None else before.score))
    made = lesson.calibration if dry_run else None
    missed = compared.newly_missed([name for _, name in defects])
    if defects:
        _say(compared.sentence())
    if missed and not (force or dry_run):
        raise UserError(
            f"{', '.join(missed[:5])} would be missed, which people called defective and the run finds: nothing is "
            "changed. Look at the good images that were given, or go on with --force."
        )
    made = made or save_lesson(run, lesson)
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


def _labelled(run: Path, feedback: Path, folder: Path) -> "Labelled":
    from realnet.data import read_image
    from realnet.history import Store, labelled_images
    from realnet.inspection.journal import model_digests
    from realnet.inspection.trace import image_hash
    from realnet.model.saving import load_config

    levels = load_config(run).data.pair
    store = Store(feedback, make=False)
    found = labelled_images(store, model_digests(run), folder, lambda file: image_hash(read_image(file, levels=levels)))
    if found.lost:
        _say(
            f"{plural(len(found.lost), 'image')} that people gave a verdict on cannot be had any more "
            f"({found.lost[0]}): a store that was kept with --keep-images originals has them."
        )
    return found


def _learned(lesson: "Lesson", threshold: float) -> list[str]:
    """What the new images are to the inspector, before and after."""
    count = len(lesson.names)
    rejected = [sum(score > limit for score in scores) for scores, limit in (
        (lesson.before, threshold), (lesson.after, lesson.calibration.score)
    )]  # fmt: skip
    said = [
        f"{plural(count, 'good image')} joined {len(lesson.calibration.good_scores) - count}: {rejected[0]} of them "
        f"were rejected, and {rejected[1]} are, each judged by what has not seen it."
    ]
    if lesson.left_out:
        said.insert(
            0, f"{plural(lesson.left_out, 'image')} left out: the run has been trained on the same, or they came twice."
        )
    return said


def _say(*sentences: str) -> None:
    for sentence in sentences:
        console.print(sentence, soft_wrap=True, markup=False, highlight=False)
