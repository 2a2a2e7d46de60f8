"""Does `--find` keep its word? ``python -m benchmarks.find_size DATA CATEGORY scratch:8px@128 --output RUN``.

Trains on some good images as `realnet train --find` does, and prints what it says. Then the same defects are drawn on
the good test images, which neither training nor threshold has seen: how many are found there, and how many of these
images are rejected as they are.
"""

import argparse
from pathlib import Path

import realnet
from realnet.data import open_dataset
from realnet.data.samples import spread
from realnet.inspection.judging import Judge
from realnet.limits.asked import read_asked
from realnet.limits.measuring import measure_drawn, read_to_draw_on, scorer_of
from realnet.limits.reaching import EACH
from realnet.progress import Watcher


class Printing(Watcher):
    """Prints what is said."""

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)


def found_on(judge: Judge, files: list[Path], find: str, seed: int) -> list[str]:
    """What is found of defects on images that are new to the inspector, the images above its threshold left out."""
    good, rejected = read_to_draw_on(judge, files, Printing())
    cells = measure_drawn(scorer_of(judge), good, read_asked([find]), each=EACH, seed=seed)
    said = [f"On good test images: {cell.at(judge.threshold).sentence()} found" for cell in cells]
    return [*said, f"Good test images rejected: {rejected} of {len(good) + rejected}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    parser.add_argument("find")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--preset", default="instant")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    (category,) = open_dataset(options.data, options.category)
    chosen = [category.train[i].image for i in spread(len(category.train), options.images)]
    folder = options.output.with_name(f"{options.output.name}.good")
    folder.mkdir(parents=True)
    for file in chosen:
        (folder / file.name).symlink_to(file.resolve())
    judge = realnet.train(
        folder, options.output, preset=options.preset, seed=options.seed, find=options.find, progress=Printing()
    )
    tests = [sample.image for sample in category.test if not sample.is_anomalous]
    print(*found_on(judge, tests, options.find, options.seed + 7), sep="\n")


if __name__ == "__main__":
    main()
