"""What corrections are worth: a new lot gives false alarms, a person confirms some, and the run is taught those.

    python benchmarks/corrections.py DATA CATEGORY --lot shift --output runs/corrections

A number of good training images is held out, and changed as a new lot would be (`shift`: by 6 to 10 % of the width to
the right; `turned`: by a quarter). The run is trained on the rest. Of the false alarms among the changed ones the first
5, 10 and 20, in an order drawn by the seed, are taught. Judged are the test images, as they are and changed in the same
way, which nothing was chosen by. A run that is there already is not trained again.
"""

import argparse
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

import realnet
from realnet.atomic import write_text
from realnet.data import open_dataset, read_image
from realnet.synthesis import write_figure
from realnet.training.moved import moved
from realnet.training.teaching import learn, save_lesson

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
LOTS: dict[str, Change] = {
    "shift": lambda image, rng: moved(image, (float(rng.uniform(0.06, 0.1)), 0.0), 0.0, 0.0),
    "turned": lambda image, rng: np.ascontiguousarray(np.rot90(image)),
}
CORRECTIONS = (5, 10, 20)


def scores(run: Path, images: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    inspector = realnet.load(run, "cpu")
    return np.array([found.score for found in inspector.inspect_many(images)]), inspector.threshold


def row(run: Path, name: str, seconds: float, test: dict[str, list[np.ndarray]]) -> str:
    """Counts at the run's own threshold, and image AUROC, of the new lot and of the usual one."""
    cells = [name, f"{seconds:.1f}" if seconds else ""]
    for lot in (", new lot", ""):
        (good, threshold), (defects, _) = scores(run, test["good" + lot]), scores(run, test["defects" + lot])
        labels = [0] * len(good) + [1] * len(defects)
        cells += [
            f"{int((good > threshold).sum())} of {len(good)}",
            f"{int((defects <= threshold).sum())} of {len(defects)}",
            f"{roc_auc_score(labels, [*good, *defects]):.3f}",
        ]
    return "| " + " | ".join([*cells, f"{threshold:.3f}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("category")
    parser.add_argument("--lot", choices=LOTS, required=True)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--false-alarms", default="5%")
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    (category,) = open_dataset(given.data, given.category)
    rng, change = np.random.default_rng(given.seed), LOTS[given.lot]
    order = [category.train[i].image for i in rng.permutation(len(category.train))]
    good, lot = given.output / "good", given.output / "lot"
    for folder in (good, lot):
        folder.mkdir(parents=True, exist_ok=True)
    for file in order[given.held_out :]:
        shutil.copy(file, good / file.name)
    for number, file in enumerate(order[: given.held_out]):
        write_figure(lot / f"{number:03d}.png", change(read_image(file), rng))
    test: dict[str, list[np.ndarray]] = {}
    for kind, anomalous in (("good", False), ("defects", True)):
        plain = [read_image(sample.image) for sample in category.test if sample.is_anomalous == anomalous]
        test[f"{kind}, new lot"] = [change(image, rng) for image in plain]
        test[kind] = plain
    run = given.output / "run"
    if not (run / "model.safetensors").exists():
        realnet.train(
            good, run, preset=given.preset, seed=given.seed, false_alarms=given.false_alarms, device="cpu",
            progress=False,
        )  # fmt: skip
    files = sorted(lot.iterdir())
    found, threshold = scores(run, [read_image(file) for file in files])
    alarms = [file for file, score in zip(files, found, strict=True) if score > threshold]
    lines = [
        f"{category.name}, {given.lot}, preset {given.preset}, seed {given.seed}, {len(order) - given.held_out} good "
        f"images trained on; {len(alarms)} of {len(files)} held-out images of the new lot were false alarms.",
        "",
        "| corrections | seconds | new lot: false alarms | missed | AUROC | usual lot: false alarms | missed | AUROC "
        "| threshold |",
        "|---|---|---|---|---|---|---|---|---|",
        row(run, "none", 0.0, test),
    ]
    for count in CORRECTIONS:
        if count > len(alarms):
            break
        own = given.output / f"run-{count}"
        shutil.rmtree(own, ignore_errors=True)
        shutil.copytree(run, own)
        began = time.monotonic()
        save_lesson(own, learn(own, alarms[:count], [file.name for file in alarms[:count]]))
        seconds = time.monotonic() - began
        lines.append(row(own, str(count), seconds, test))
    write_text(given.output / "corrections.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
