"""``realnet demo``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.console import say
from realnet.cli.evaluate_command import measure
from realnet.cli.options import DeviceOption, torch_device

DATA, CATEGORY = "elpv", "mono"
# Defective cells that the picture is chosen from.
_JUDGED = 24


def demo(
    fast: Annotated[bool, typer.Option("--fast", help="Train for one minute at most: a smoke test.")] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("demo-run"),
    device: DeviceOption = "auto",
) -> None:
    """Train preset lite on photographs of real solar cells (ELPV), evaluate it and write a report."""
    from realnet.choices import configuration
    from realnet.cli.bar import Bar
    from realnet.data import check_dataset, open_dataset
    from realnet.inspection.loading import load
    from realnet.synthesis import write_figure
    from realnet.training.launch import Launch
    from realnet.training.run import train

    config = configuration("lite", None, None, None, None, 0)
    categories = open_dataset(Path(DATA), CATEGORY)
    check_dataset(categories, need_test=True)
    place = torch_device(device)
    minutes = 1 if fast else 3
    say(
        f"Training on {len(categories[0].train)} electroluminescence photographs of intact monocrystalline solar "
        f"cells for at most {minutes} min; no defective cell is shown. Data: ELPV, Buerhop-Lutz et al. 2018, "
        "CC BY-NC-SA 4.0."
    )
    with (bar := Bar()).display:
        # A demo that was interrupted continues; one that is finished is only evaluated again.
        train(categories, config, output, Launch(place, time_budget=60.0 * minutes, resume=True), bar)
    measure(output, DATA, category=CATEGORY, device=place)
    say(
        "Image AUROC is the chance that a defective cell scores higher than an intact one: 0.5 is guessing, 1 is "
        "perfect. Image level only: ELPV has no masks. The defective cells are those that experts graded surely "
        "defective, a hard and partly invisible mixture."
    )
    defective = [sample.image for sample in categories[0].test if sample.is_anomalous]
    worst = max(load(output, place).inspect_many(defective[:_JUDGED]), key=lambda result: result.score)
    picture = output / "heatmap.png"
    write_figure(picture, worst.picture)
    say(f"A defective cell, its heat map and outline: {picture}")
    say(
        f"Next: open {output / 'report.html'} in a browser, then train on your own good images: realnet train "
        "photos/good --time-budget 5m"
    )
