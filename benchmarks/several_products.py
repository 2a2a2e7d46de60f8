"""One inspector for several products against one for each, and what it says of a product that it does not know.

    python -m benchmarks.several_products textures DTD OUTPUT [--classes 6]
    python -m benchmarks.several_products measure RUN DATA [--output CSV]

`textures` makes products of the first picture of each DTD class: good images are crops of its left part, test images
crops of its right part, every second one with a drawn scratch or spot. `measure` judges the test images of every product
in DATA (folders named as in RUN/products) by its own inspector, by all together, and by all but its own.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from realnet.calibration import UNKNOWN_SCORE
from realnet.data import open_dataset, read_image
from realnet.model.familiarity import describe
from realnet.model.joined import JoinedNet
from realnet.model.saving import load_network
from realnet.run_folder import Run

CROP, TRAIN, TEST, BATCH = 112, 60, 60, 8


def textures(source: Path, output: Path, classes: int, seed: int = 0) -> None:
    """Write one product a DTD class."""
    for number, folder in enumerate(sorted(path for path in source.iterdir() if path.is_dir())[:classes]):
        image = read_image(sorted(folder.iterdir())[0], None)
        rng, border = np.random.default_rng([seed, number]), int(0.62 * image.shape[1])
        for index in range(TRAIN + TEST):
            first, last = (0, border - CROP) if index < TRAIN else (border, image.shape[1] - CROP)
            top, left = int(rng.integers(0, image.shape[0] - CROP + 1)), int(rng.integers(first, max(first, last) + 1))
            crop = np.ascontiguousarray(image[top : top + CROP, left : left + CROP])
            kind = "train/good" if index < TRAIN else "test/good" if index % 2 else "test/drawn"
            if kind == "test/drawn":
                crop = drawn(crop, rng)
            place = output / f"dtd_{folder.name}" / kind
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{index:03}.png"), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))


def drawn(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A scratch of two pixels or a spot of ten, 40 grey levels lighter or darker."""
    mask = np.zeros(image.shape[:2], np.uint8)
    x, y = (int(value) for value in rng.integers(20, CROP - 20, 2))
    if rng.random() < 0.5:
        dx, dy = (int(value) for value in rng.integers(-18, 19, 2))
        cv2.line(mask, (x - dx, y - dy), (x + dx + 4, y + dy), 1, 2)
    else:
        cv2.circle(mask, (x, y), 5, 1, -1)
    change = 40.0 * (1 if image.mean() < 128 else -1) * cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0)
    return np.clip(image + change[..., None], 0, 255).astype(np.uint8)


@torch.no_grad()
def judged(net: JoinedNet, batch: torch.Tensor, own: int) -> list[tuple[float, float, int, float, float]]:
    """Level by its own inspector, level by all, which one judged, level by all but its own, its own strangeness."""
    size = (batch.shape[-2], batch.shape[-1])
    selected = net.select(batch)
    described = [describe(features) for features in selected]
    unlikely = torch.stack([net.members[k].familiarity.unlikelihood(d) for k, d in enumerate(described)], 1)
    strange = net.members[own].familiarity(described[own])
    others = unlikely.clone()
    others[:, own] = float("inf")
    rows = []
    for i in range(len(batch)):
        chosen, without = int(unlikely[i].argmin()), int(others[i].argmin())
        levels = {
            k: float(net._own(k, [f[i : i + 1] for f in selected[k]], size).score) for k in {own, chosen, without}
        }
        rows.append((levels[own], levels[chosen], chosen, levels[without], float(strange[i])))
    return rows


def measure(run: Path, data: Path) -> list[list[str]]:
    """A row a product."""
    opened = Run(run)
    net = load_network(opened)
    assert isinstance(net, JoinedNet)
    size, table = net.config.image_size, []
    for own, member in enumerate(opened.members):
        (category,) = open_dataset(data, member.folder.name)
        rows, labels = [], []
        for start in range(0, len(category.test), BATCH):
            some = category.test[start : start + BATCH]
            shown = np.stack([read_image(sample.image, size, member.levels) for sample in some])
            batch = torch.from_numpy(shown).permute(0, 3, 1, 2).float().div(255)
            rows += judged(net, batch.contiguous(memory_format=torch.channels_last), own)
            labels += [sample.is_anomalous for sample in some]
        alone, together, chosen, foreign, strange = (np.array(column) for column in zip(*rows, strict=True))
        bad = np.array(labels)
        unknown, elsewhere = together >= UNKNOWN_SCORE, foreign >= UNKNOWN_SCORE
        table.append(
            [
                member.folder.name,
                f"{len(bad) - bad.sum()} / {bad.sum()}",
                f"{100 * roc_auc_score(bad, alone):.2f}",
                f"{100 * roc_auc_score(bad, together):.2f}",
                f"{(chosen != own).sum()}",
                f"{(alone > 0.5)[~bad].sum()} / {(together > 0.5)[~bad].sum()}",
                f"{unknown[~bad].sum()}",
                f"{unknown[bad].sum()}",
                f"{(alone <= 0.5)[bad].sum()} / {(together <= 0.5)[bad].sum()}",
                f"{elsewhere.sum()} of {len(bad)}",
                f"{(foreign <= 0.5).sum()}",
                f"{strange.max():.2f}",
            ]
        )
        print("| " + " | ".join(table[-1]) + " |", flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("textures")
    made.add_argument("source", type=Path)
    made.add_argument("output", type=Path)
    made.add_argument("--classes", type=int, default=6)
    told = commands.add_parser("measure")
    told.add_argument("run", type=Path)
    told.add_argument("data", type=Path)
    options = parser.parse_args()
    if options.command == "textures":
        textures(options.source, options.output, options.classes)
        return
    heads = (
        "product", "good / defective", "own inspector", "all together", "judged by another", "false alarms own / all",
        "good unknown", "defective unknown", "missed own / all", "unknown where it was left out", "passed as good there",
        "largest strangeness",
    )  # fmt: skip
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    measure(options.run, options.data)


if __name__ == "__main__":
    main()
