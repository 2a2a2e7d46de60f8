"""Data sets and images by the thousand. ``REALNET_STRESS_FILES`` says how many files (5,000 unless it is set)."""

import json
import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from benchmarks.reliability.depths import FOREIGN, array_of, deep_variants
from benchmarks.reliability.encoding import drawn, seed_images
from benchmarks.reliability.inputs import samples, sentinels, write_samples
from benchmarks.reliability.malformed import alone, row_problems

from realnet import load
from realnet.data import list_images, open_dataset, read_image, summarize, survey
from realnet.errors import UserError
from realnet.inspection.sources import open_sources
from tests.inspection.judged import inspect_files
from tests.stress.trees import make_tree

_MANY = int(os.environ.get("REALNET_STRESS_FILES", "5000"))
COUNTS = [pytest.param(30, id="few"), pytest.param(_MANY, id="many", marks=pytest.mark.slow)]
_TREE = 100


@pytest.mark.parametrize("count", COUNTS)
def test_data_sets_are_read_as_a_person_counts_them(tmp_path: Path, count: int) -> None:
    """Every tenth of the files is no image of the data set; each is counted with its reason, by every reader."""
    for seed in range(max(1, count // _TREE)):
        tree = make_tree(tmp_path / f"line{seed}", seed, min(count, _TREE))
        (category,) = open_dataset(tree.root)
        found = [*category.train, *category.test]
        defective = [sample for sample in found if sample.is_anomalous]
        assert (len(found) - len(defective), len(defective)) == (tree.good, tree.defective), tree.root
        assert sum(sample.mask is not None for sample in defective) == tree.masked, tree.root
        left: Counter[str] = Counter()
        for item in category.left_out:
            (word,) = [word for word in tree.left_out if word in item.reason]
            left[word] += item.count
        assert left == tree.left_out, tree.root
        assert all(len(line) < 2000 for line in summarize([category])), "no longer than a screen"
        files = list_images([tree.root])
        assert len(files) == tree.good + tree.defective + tree.masked, tree.root
        said: list[str] = []
        sources = open_sources([str(tree.root)], tmp_path / "out", say=said.append)
        items = [item for item in sources.items(lambda key, version: False, threading.Event()) if item]
        # Inspection leaves out folders of masks, no masks that lie beside their images.
        masks = {sample.mask for sample in defective if sample.mask and sample.mask.parent != sample.image.parent}
        assert [item.image for item in items] == [str(file) for file in files if file not in masks]
        assert all(word in said[0] for word in tree.left_out), said


@pytest.mark.parametrize("count", COUNTS)
def test_deep_files_are_their_8_bit_twins_and_foreign_ones_are_named(tmp_path: Path, count: int) -> None:
    """Every file of more than 8 bits is written beside a twin of 8 bits, which says what has to be seen."""
    variants, foreign = list(deep_variants().items()), list(FOREIGN.items())
    for number in range(count):
        rng = np.random.default_rng([9, number])
        if number % 10 == 9:
            kind, make = foreign[number // 10 % len(foreign)]
            path = tmp_path / "foreign.png"
            path.write_bytes(make(rng))
            with pytest.raises(UserError, match=r"not supported|not read|convert|cannot be decoded"):
                read_image(path)
            continue
        kind, (encode, suffix) = variants[number % len(variants)]
        grey = array_of(drawn(rng, 48)).copy()
        grey[0, :2] = 0, 255  # both ends, so that the range of the values is that of the twin
        path = tmp_path / f"deep{suffix}"
        path.write_bytes(encode(grey))
        levels = survey([path]).levels
        seen = read_image(path, levels=levels)
        if "signed" in kind:  # levels reach a quarter beyond the values, so that only the order is the twin's
            assert (np.diff(seen[..., 0].ravel()[np.argsort(grey, axis=None)].astype(int)) >= 0).all(), kind
        else:
            assert np.abs(seen[..., 0].astype(int) - grey).max() <= 1, f"{kind}, {number}"


@pytest.mark.parametrize("count", COUNTS)
def test_images_of_every_kind_are_judged_or_said_why_not(
    product: Path,
    trained: Path,
    tmp_path: Path,
    count: int,
) -> None:
    """Among malformed and unusual files every tenth is one whose score is known."""
    images = seed_images(product)
    scores = alone(trained, sentinels(images), tmp_path / "alone")
    due = write_samples(samples(count, 5, images), tmp_path / "images")
    inspect_files(load(trained), list(due), tmp_path / "out")
    rows = {row["image"]: row for row in json.loads((tmp_path / "out" / "results.json").read_text())}
    assert row_problems(rows, due, scores)[0] == {}
