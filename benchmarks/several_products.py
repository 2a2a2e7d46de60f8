"""One inspector for several products against one for each, and what it says of a product that it does not know.

    python -m benchmarks.several_products textures DTD OUTPUT [--classes 6]
    python -m benchmarks.several_products measure RUN DATA [--sizes 3,5,10]

`textures` makes products of the first picture of each DTD class: good images are crops of its left part, test images
crops of its right part, every second one with a drawn scratch or spot. `measure` judges the test images of every
product in DATA (folders named as in RUN/products) by its own inspector, by all together, and by all but its own.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

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


class Looked(NamedTuple):
    """What is said of one image.

    Attributes:
        alone: level by its own inspector.
        together: by the first so many products' inspectors together, of each size.
        judge: the number of the inspector that judged it then.
        foreign: level by all but its own.
        strange: strangeness to each inspector.
    """

    alone: float
    together: list[float]
    judge: list[int]
    foreign: float
    strange: np.ndarray


@torch.no_grad()
def look(net: JoinedNet, batch: torch.Tensor, own: int, sizes: list[int]) -> list[Looked]:
    """Judge images of product ``own``."""
    size = (batch.shape[-2], batch.shape[-1])
    selected = net.select(batch)
    described = [describe(features) for features in selected]
    unlikely = torch.stack([net.members[k].familiarity.unlikelihood(d) for k, d in enumerate(described)], 1)
    strange = torch.stack([net.members[k].familiarity(d) for k, d in enumerate(described)], 1).numpy()
    others = unlikely.clone()
    others[:, own] = float("inf")
    found = []
    for i in range(len(batch)):
        judges, without = [int(unlikely[i, :n].argmin()) for n in sizes], int(others[i].argmin())
        levels = {}
        for k in {own, without, *judges}:
            levels[k] = float(net._own(k, [f[i : i + 1] for f in selected[k]], size).score)
        found.append(Looked(levels[own], [levels[k] for k in judges], judges, levels[without], strange[i]))
    return found


def measure(run: Path, data: Path, sizes: list[int]) -> None:
    """Print a row a product, and what each inspector by itself calls unknown."""
    opened = Run(run)
    net = load_network(opened)
    assert isinstance(net, JoinedNet)
    names, seen = [member.folder.name for member in opened.members], []
    heads = ["product", "good / defective", "own inspector, image AUROC", *(f"{n} together" for n in sizes)]
    heads += ["judged by another", "false alarms own / together", "missed", "good unknown", "defective unknown"]
    heads += ["largest strangeness, good / defective", "unknown where left out", "passed there"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for own, name in enumerate(names):
        (category,) = open_dataset(data, name)
        found: list[Looked] = []
        for start in range(0, len(category.test), BATCH):
            some = category.test[start : start + BATCH]
            shown = np.stack([read_image(one.image, net.config.image_size, opened.levels) for one in some])
            batch = torch.from_numpy(shown).permute(0, 3, 1, 2).float().div(255)
            found += look(net, batch.contiguous(memory_format=torch.channels_last), own, sizes)
        bad = np.array([sample.is_anomalous for sample in category.test])
        alone, foreign = np.array([one.alone for one in found]), np.array([one.foreign for one in found])
        together = np.array([one.together for one in found])
        strange = np.array([one.strange for one in found])
        elsewhere = (np.array([one.judge for one in found]) != own).sum(0)
        there = [k for k, n in enumerate(sizes) if own < n]
        unknown = together[:, -1] >= UNKNOWN_SCORE
        cells = [name, f"{(~bad).sum()} / {bad.sum()}", f"{100 * roc_auc_score(bad, alone):.2f}"]
        cells += [f"{100 * roc_auc_score(bad, together[:, k]):.2f}" if k in there else "-" for k in range(len(sizes))]
        cells += [", ".join(str(elsewhere[k]) for k in there)]
        cells += [f"{(alone > 0.5)[~bad].sum()} / {(together[:, -1] > 0.5)[~bad].sum()}"]
        cells += [f"{(alone <= 0.5)[bad].sum()} / {(together[:, -1] <= 0.5)[bad].sum()}"]
        cells += [str(unknown[~bad].sum()), str(unknown[bad].sum())]
        cells += [f"{strange[~bad, own].max():.2f} / {strange[bad, own].max():.2f}"]
        cells += [f"{(foreign >= UNKNOWN_SCORE).sum()} of {len(bad)}", str((foreign <= 0.5).sum())]
        print("| " + " | ".join(cells) + " |", flush=True)
        seen.append([name, *(f"{100 * share:.0f}" for share in (strange > 1).mean(0))])
    heads = ["% of the images unknown to the inspector of", *names]
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    print("\n".join("| " + " | ".join(cells) + " |" for cells in seen))


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
    told.add_argument("--sizes", default="3,5,10", help="how many of the first products are together")
    options = parser.parse_args()
    if options.command == "textures":
        textures(options.source, options.output, options.classes)
        return
    measure(options.run, options.data, [int(size) for size in options.sizes.split(",")])


if __name__ == "__main__":
    main()
