"""Does an inspector that is taught confirmed defects find more?

    python -m benchmarks.confirmed_defects RUN DATA CATEGORY

For each kind of defect 5 and 20 test images of it are confirmed, three draws of each, and taught as `realnet teach
--defects` does. Judged at the threshold that the tool sets are the remaining defects of the kind (the same ones for 5
and for 20), those of the other kinds, and the good test images. Nothing is chosen by them. A kind that has too few
images to leave five is taught fewer, or left out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from realnet.calibration import score_threshold
from realnet.data import open_dataset
from realnet.model.saving import load_model
from realnet.run_folder import Run
from realnet.training.kept_defects import KeptDefects, read_defect_images
from realnet.training.kept_features import FEATURES_FILE, read_features
from realnet.training.learned_defects import DefectsLearner
from realnet.training.out_of_sample import file_scores, part_scores, scores_by_file
from realnet.training.teaching import refit

COUNTS, DRAWS, LEAST_LEFT = (5, 20), 3, 5


class Taught:
    """A run as it is, and taught some of the test images.

    Args:
        tests: features of all test images.
    """

    @torch.no_grad()
    def __init__(self, run: Path, files: Sequence[Path]) -> None:
        opened = Run(run)
        self.model, self.config = load_model(opened, "cpu"), opened.config
        self.tests = read_defect_images(
            self.model, self.config, {str(i): file for i, file in enumerate(files)}, torch.device("cpu")
        )
        kept = read_features(run / FEATURES_FILE)
        self.result, self.validation = refit(self.model, self.config, kept)

    def learn(self, rows: Sequence[int]) -> tuple[int, int]:
        """Learn these test images; what the tool says of them."""
        others = {str(i) for i in range(len(self.tests.digests))} - {str(i) for i in rows}
        shown: KeptDefects = self.tests.without(others)
        learner = DefectsLearner(self.model, self.result, shown, self.validation, self.config.seed)
        with torch.no_grad():
            said = learner.found(self.config.training.false_alarms)
            learner.fit()
        return said

    @torch.no_grad()
    def alarms(self) -> np.ndarray:
        """Which test images are above the threshold of the good images."""
        judged = self.result.at_limit if len(self.result.at_limit) else self.result.good
        own = part_scores(self.model, judged, self.validation.logits(judged)).tolist()
        groups = self.result.groups.tolist()
        limit, _ = score_threshold(scores_by_file(groups, own), self.config.training.false_alarms)
        found = file_scores(self.model, self.tests.features, self.tests.groups)
        return np.array(found) > limit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    options = parser.parse_args()
    (category,) = open_dataset(options.data, options.category)
    samples = list(category.test)
    taught = Taught(options.run, [sample.image for sample in samples])
    before = taught.alarms()
    fine = [i for i, sample in enumerate(samples) if not sample.is_anomalous]
    kinds = sorted({sample.defect for sample in samples if sample.is_anomalous})
    print("| kind, confirmed | others of the kind, found | kinds held out, found | false alarms | the tool says |")
    print("|---|---|---|---|---|")
    for kind in kinds:
        own = [i for i, sample in enumerate(samples) if sample.defect == kind]
        held_out = [i for i, sample in enumerate(samples) if sample.is_anomalous and sample.defect != kind]
        counts = [count for count in COUNTS if len(own) >= count + LEAST_LEFT]
        for count in counts:
            rows: list[list[str]] = []
            for draw in range(DRAWS):
                order = np.random.default_rng(draw).permutation(own).tolist()
                said = taught.learn(order[:count])
                after = taught.alarms()
                parts = (order[max(counts) :], held_out, fine)
                rows.append(
                    [f"{before[p].sum()} > {after[p].sum()} of {len(p)}" for p in parts] + [f"{said[0]} > {said[1]}"]
                )
            print(
                f"| {kind}, {count} | {' | '.join('; '.join(column) for column in zip(*rows, strict=True))} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
