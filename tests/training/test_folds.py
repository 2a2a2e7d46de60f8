"""Out of sample: no image is judged by a subspace or a head that has seen it, or what it was made of."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from realnet import load
from realnet.calibration import read_calibration
from realnet.config import Config
from realnet.data import open_dataset
from realnet.model.network import RealNet
from realnet.model.subspace import Gram
from realnet.training.heads import FoldedValidation, HeadBatches, LossOfHeads, head_of
from realnet.training.out_of_sample import OutOfSample, part_scores
from realnet.training.prepare import good_images, make_synthesizer, split_samples
from realnet.training.solving import Solver
from tests.data.layouts import make_mvtec
from tests.training.tiny import run, tiny


def solved(data: Path, config: Config) -> tuple[RealNet, OutOfSample]:
    (category,) = open_dataset(data)
    samples = split_samples(category.train, config).train
    images = good_images(samples, config, None)
    model = RealNet(config)
    return model, Solver(model, make_synthesizer(samples, images, config, 0), config, torch.device("cpu")).solve()


def test_a_residual_is_what_a_subspace_of_the_other_folds_leaves(product: Path) -> None:
    config = tiny("training.augmentation=none", "training.folds=3")
    model, seen = solved(product, config)
    (category,) = open_dataset(product)
    images = good_images(category.train, config, None)
    shown = torch.from_numpy(np.stack(list(images))).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        features = model.select(shown)
    network = model.reconstruction.networks[1]
    others = [i for i in range(len(images)) if i % 3 != 1]
    mean, basis = Gram(features[1].flatten(1).clone()).fit(others, 0.95, 192)
    centred = features[1][1].flatten() - mean
    left = (centred - centred @ basis.t() @ basis).square().view_as(features[1][1])
    expected = (left / network.get_buffer("level")[:, None, None]).log1p()
    torch.testing.assert_close(seen.good.logs[1][1].float(), expected, atol=0.1, rtol=0.05)
    assert float(seen.good.logs[1].float().expm1().mean()) == pytest.approx(1, rel=0.1), "the unit is a good residual"


def test_copies_and_defects_are_judged_with_the_image_they_were_made_of(product: Path) -> None:
    model, seen = solved(product, tiny("training.augmentation=weak"))
    assert len(seen.moved) == 6 * 16, "many copies of few images"
    assert len(seen.defects) == len(seen.masks) == 12
    in_sample = model.residuals(model.select(torch.rand(1, 3, 64, 64)))
    assert len(in_sample[0]) == len(seen.good.logs)
    # The good images were fitted to; their residuals by the final subspace are far smaller than those out of sample.
    (category,) = open_dataset(product)
    images = good_images(category.train, tiny(), None)
    shown = torch.from_numpy(np.stack(list(images))).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        own = model.residuals(model.select(shown))[0]
    assert float(own[0].mean()) < 0.7 * float(seen.good.logs[0].float().expm1().mean())


def test_heads_do_not_see_their_share_nor_what_was_made_of_it(product: Path) -> None:
    _, seen = solved(product, tiny())
    batches = HeadBatches(seen, 2, 0, 8)
    own = head_of(seen, 2)
    of = torch.cat([seen.good.of, seen.moved.of])
    for head, (goods, defects) in enumerate(batches.rows):
        assert not (own[of[goods]] == head).any()
        assert not (own[seen.defects.of[defects]] == head).any()
        assert len(goods) == 3 * 17
    first, again = next(batches.starting_at(3, 4)), next(batches.starting_at(3, 9))
    assert all(torch.equal(a, b) for a, b in zip(first.logs[1], again.logs[1], strict=True)), (
        "a pure function of the step"
    )
    assert first.masks[0][:4].sum() == 0
    assert first.masks[0][4:].sum() > 0


def test_a_step_teaches_every_head(product: Path) -> None:
    model, seen = solved(product, tiny())
    loss = LossOfHeads(model, 0)
    batch = next(HeadBatches(seen, 2, 0, 8).starting_at(0, 1))
    total, _, _ = loss(*batch)
    total.backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for n, p in loss.named_parameters() if n.endswith("weight")
    )
    assert torch.equal(loss(*batch)[0], loss(*batch)[0]), "what is hidden depends on the step only"


def test_validation_judges_each_image_by_the_head_that_has_not_seen_it(product: Path) -> None:
    model, seen = solved(product, tiny())
    validation = FoldedValidation(model, seen, learned=True)
    logits = validation.logits(seen.good)
    assert logits is not None
    head = model.discriminator.heads[1].eval()  # type: ignore[union-attr, index]
    rows = (head_of(seen, 2) == 1).nonzero()[:, 0]
    with torch.no_grad():
        expected = head([log[rows].float() for log in seen.good.logs])
    model.eval()
    logits = validation.logits(seen.good)
    assert logits is not None
    torch.testing.assert_close(logits[rows], expected, atol=1e-5, rtol=1e-4)
    figure = validation()
    assert figure.good_scores == pytest.approx(part_scores(model, seen.good, logits).tolist(), abs=1e-5)
    assert FoldedValidation(model, seen, learned=False).logits(seen.good) is None


def test_more_images_than_a_subspace_takes_serve_the_threshold(tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", train=9)
    config = tiny("model.reconstruction.fit_images=5", "training.steps=0")
    (category,) = open_dataset(data)
    split = split_samples(category.train, config)
    assert (len(split.train), len(split.held_out)) == (5, 4)
    assert set(split.train) | set(split.held_out) == set(category.train)
    run(data, tmp_path / "run", config)
    calibration = read_calibration(tmp_path / "run")
    assert calibration is not None
    assert len(calibration.good_scores) == 9


def test_nothing_learned_is_a_valid_inspector(product: Path, tmp_path: Path) -> None:
    progress = run(product, tmp_path / "run", tiny("training.steps=0"))
    assert (progress.step, progress.finished) == (0, True)
    inspector = load(tmp_path / "run")
    good = inspector.inspect(product / "widget" / "test" / "good" / "000.png")
    bad = inspector.inspect(product / "widget" / "test" / "stain" / "000.png")
    assert bad.score > good.score
    assert not inspector.model.discriminator.trained  # type: ignore[union-attr]


def test_where_nothing_is_learned_and_all_channels_are_kept_no_defect_is_made_to_learn_from(product: Path) -> None:
    model, seen = solved(product, tiny("training.steps=0", "model.afs.method=none", "training.augmentation=auto"))
    assert len(seen.defects) == 0 < len(seen.faint)
    assert model.afs.dimensions == model.backbone.channels
    assert seen.augmentation in ("none", "strong"), "chosen by faint defects"


def test_where_nothing_is_learned_defects_serve_afs_alone_and_only_if_it_has_a_choice(product: Path) -> None:
    model, seen = solved(product, tiny("training.steps=0"))
    assert model.afs.measured, "it has chosen 8 of each tap's channels by defects"
    assert len(seen.defects) == len(seen.masks) == 0, "which are not judged afterwards"
    every = ",".join(map(str, model.backbone.channels))
    model, seen = solved(product, tiny("training.steps=0", f"model.afs.dimensions=[{every}]"))
    assert not model.afs.leaves_out and not model.afs.measured
    model, _ = solved(product, tiny(f"model.afs.dimensions=[{every}]"))
    assert model.afs.measured, "where defects are made to learn from, the losses are there to be shown"


def test_identical_good_images_never_alarm(tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", train=2)
    good = data / "widget" / "train" / "good"
    first, *others = sorted(good.iterdir())
    for other in others:
        other.unlink()
    for number in range(1, 6):
        shutil.copy(first, good / f"copy{number}.png")
    for steps in (0, 4):
        output = tmp_path / f"run{steps}"
        run(data, output, tiny("training.augmentation=none", f"training.steps={steps}"))
        inspector = load(output)
        assert not any(found.is_anomalous for found in inspector.inspect_many([first] * 5, batch_size=3))
        assert inspector.inspect(data / "widget" / "test" / "stain" / "000.png").is_anomalous


def test_a_tolerance_is_what_the_threshold_rests_on(product: Path, tmp_path: Path) -> None:
    fields = ("training.tolerance.shift=0.1", "training.tolerance.light=0.2", "training.steps=0")
    run(product, tmp_path / "run", tiny(*fields))
    calibration = read_calibration(tmp_path / "run")
    assert calibration is not None
    assert "moved as far as is tolerated" in calibration.source
    run(product, tmp_path / "plain", tiny("training.steps=0", "training.augmentation=none"))
    plain = read_calibration(tmp_path / "plain")
    assert plain is not None
    assert plain.source == "good images, each judged by what has not seen it"
