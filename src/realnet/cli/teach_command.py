"""``realnet teach``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet import api
from realnet.cli.bar import showing
from realnet.cli.console import say
from realnet.cli.options import DeviceOption, GoodOption, KeepOption
from realnet.errors import UserError
from realnet.files import quoted


def teach(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of preset lite or instant.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Further good images: files, folders, or a data set, of which the good ones are taken."),
    ] = None,
    good: GoodOption = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="A good image, given or learned already, that is not good: by its name or file; repeatable."),
    ] = None,
    keep: KeepOption = None,
    feedback: Annotated[
        Path | None,
        typer.Option(
            help="Results store: the images that people confirmed as good join; confirmed defects show what it costs."
        ),
    ] = None,
    defects: Annotated[
        bool,
        typer.Option(
            "--defects",
            help="The results store's confirmed defects, at least 5, are learned, so that more like them are found.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on although a confirmed defect that was found would be missed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come out, and change nothing.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Add good images to a finished run in seconds, or take some out; nothing is trained.

    What differs from the others as the added ones do is no defect any more.

    The version before is kept: `realnet calibrate RUN --undo`. Servers that run take the new one up by themselves.
    """
    from realnet.run_folder import open_run

    if not images and feedback is None and not exclude and not keep:
        raise UserError("Give good images, --feedback with a results store, or --exclude or --keep with a good image.")
    if good and not images:
        raise UserError("--good is about a data set: give it as well.")
    before = open_run(run).calibration
    with showing("Learning") as watcher:
        made = api.teach(
            run, images or (), good=good or (), keep=keep or (), exclude=exclude or (), feedback=feedback,
            defects=defects, force=force, dry_run=dry_run, device=device, progress=watcher,
        )  # fmt: skip
    if before is not None and before.score != made.score:
        say(f"The threshold was {before.score:.4f}.")
        if before.good_digests:
            say(
                f"It rested on {len(before.good_digests)} images given to `realnet calibrate`, which the run does not "
                "keep and which count no more: calibrate again, or teach it those, too."
            )
    if dry_run:
        say("Nothing is changed (--dry-run).")
    else:
        say(f"This is calibration {made.version} of {run}; back with: realnet calibrate {quoted(run)} --undo")
