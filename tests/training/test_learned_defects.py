"""Confirmed defects join a finished run: what is like them is found, all else stays as it was."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import realnet
from realnet import load
from realnet.calibrations import undo
from realnet.errors import UserError
from realnet.inspection.judging import Judge
from realnet.model.evidence import EvidenceDiscriminator
from realnet.model.saving import load_model, save_weights
from realnet.run_folder import Run
from realnet.training.correcting import Correction, apply_correction, prepare_correction
from realnet.training.learned_defects import LEAST_DEFECTS, LEAST_GOOD, linear_discriminant
from realnet.training.teaching import compare_defects, learn, save_lesson
from tests.data.layouts import make_good, picture, save
from tests.training.tiny import run, tiny


def faint(rng: np.random.Generator) -> np.ndarray:
    """A product with a spot that hardly differs."""
    image = picture(rng)[0].astype(np.float32)
    top, left = rng.integers(14, 39, 2)
    image[top : top + 9, left : left + 9] += (0, -11, 11)
    return np.clip(image, 0, 255).astype(np.uint8)


def make_defects(folder: Path, count: int, seed: int = 3) -> list[Path]:
    rng = np.random.default_rng(seed)
    return [save(folder / f"bad-{seed}-{number}.png", faint(rng)) for number in range(count)]


@pytest.fixture(scope="module")
def ample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good images enough to tell defects from."""
    folder = tmp_path_factory.mktemp("ample")
    make_good(folder / "widget" / "train" / "good", LEAST_GOOD + 4, np.random.default_rng(8))
    return folder


def trained_with(ample: Path, output: Path, *fields: str) -> Path:
    run(ample, output, tiny("training.augmentation=none", *fields))
    return output


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, ample: Path) -> Path:
    return trained_with(ample, tmp_path_factory.mktemp("runs") / "run", "training.steps=2")


@pytest.fixture
def own(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def defects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_defects(tmp_path_factory.mktemp("defects"), 12)


def test_the_discriminant_is_that_of_scikit_learn() -> None:
    g = torch.Generator().manual_seed(1)
    negative = torch.randn(80, 30, generator=g) * torch.linspace(0.5, 3, 30)
    positive = torch.randn(9, 30, generator=g) + torch.linspace(-1, 2, 30)
    weights, offset = linear_discriminant(negative, positive)
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
    peer.fit(torch.cat([negative, positive]).numpy(), [0] * 80 + [1] * 9)
    np.testing.assert_allclose(weights, peer.coef_[0], rtol=1e-3, atol=1e-4)
    assert float(offset) == pytest.approx(float(peer.intercept_[0]), rel=1e-3)


def test_more_of_their_kind_is_found_and_good_images_stay_good(own: Path, defects: list[Path]) -> None:
    rng = np.random.default_rng(40)
    others, good = [faint(rng) for _ in range(24)], [picture(rng)[0] for _ in range(24)]
    before = load(own)
    lesson = learn(own, [], [], defects=defects)
    without, unseen = lesson.found
    assert unseen > without, "each judged by what has not seen it"
    assert f"12 confirmed defects are learned: {without} of them" in lesson.sentences()[-1]
    save_lesson(own, lesson)
    after = load(own)

    def alarms(inspector: Judge, images: list[np.ndarray]) -> int:
        return sum(found.score > inspector.threshold for found in inspector.inspect_many(images))

    assert alarms(after, others) > alarms(before, others) + 3
    assert alarms(after, good) <= alarms(before, good) + 1
    maps = [one.inspect(others[0]).anomaly_map for one in (before, after)]
    np.testing.assert_allclose(maps[0], maps[1], atol=0.02)  # subspaces are solved again from half precision


def test_it_is_kept_undone_and_gone_on_with(own: Path, defects: list[Path], tmp_path: Path) -> None:
    untaught, digest = load_model(Run(own)).state_dict(), Run(own).digest
    lesson = learn(own, [], [], defects=defects[:6])
    made = save_lesson(own, lesson)
    assert (made.taught, len(made.good_scores)) == (1, LEAST_GOOD + 4)
    again = load_model(Run(own))
    assert isinstance(again.discriminator, EvidenceDiscriminator) and again.discriminator.confirmed is not None
    for name, tensor in lesson.model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)
    with pytest.raises(UserError, match="nothing new"):
        learn(own, [], [], defects=defects[:6])
    # Further defects, and further good images, are learned beside what is there.
    later = learn(own, [], [], defects=defects)
    assert later.defects is not None and len(later.defects.digests) == 12
    at_once = learn(own, [], [], defects=[*defects[:6], *defects[6:]])
    for name, tensor in at_once.model.state_dict().items():
        assert torch.equal(later.model.state_dict()[name], tensor)
    more = make_good(tmp_path / "more", 2, np.random.default_rng(77))
    both = learn(own, more, ["a", "b"])
    assert both.defects is not None and len(both.defects.digests) == 6 and len(both.names) == 2
    save_lesson(own, both)
    undo(own)
    undo(own)
    assert Run(own).digest == digest
    for name, tensor in load_model(Run(own)).state_dict().items():
        assert torch.equal(untaught[name], tensor)


def test_a_lesson_of_good_images_alone_knows_nothing_of_it(own: Path, tmp_path: Path) -> None:
    lesson = learn(own, make_good(tmp_path / "more", 2, np.random.default_rng(77)), ["a", "b"])
    assert lesson.defects is None and not [name for name in lesson.model.state_dict() if "confirmed" in name]
    save_lesson(own, lesson)
    assert not (own / "taught" / "0001" / "defect_features.safetensors").exists()
    assert not [name for name in load_model(Run(own)).state_dict() if "confirmed" in name]


def test_what_they_cannot_be_learned_from_says_so(
    own: Path, ample: Path, defects: list[Path], tmp_path: Path, trained: Path
) -> None:
    with pytest.raises(UserError, match=f"4 different confirmed defects .* fewer than {LEAST_DEFECTS}"):
        learn(own, [], [], defects=[*defects[:4], defects[0]])
    with pytest.raises(UserError, match=f"6 good images. Confirmed defects are learned from {LEAST_GOOD} on"):
        learn(trained, [], [], defects=defects)
    # What is called good, now or in the training, is no defect.
    good = next((ample / "widget" / "train" / "good").iterdir())
    lesson = learn(own, defects[:1], ["a"], defects=[*defects[:7], good])
    assert lesson.wrong == 2 and lesson.defects is not None and len(lesson.defects.digests) == 6
    assert any("2 confirmed defects are left out" in line for line in lesson.sentences())
    save_lesson(own, learn(own, [], [], defects=defects[:6]))
    corrected = learn(own, defects[:1], ["a"])
    assert corrected.defects is not None and len(corrected.defects.digests) == 5
    (own / "taught" / "0001" / "defect_features.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="damaged"):
        learn(own, [], [], defects=defects)


def test_a_damaged_head_is_refused(own: Path, defects: list[Path]) -> None:
    lesson = learn(own, [], [], defects=defects)
    save_lesson(own, lesson)
    assert isinstance(lesson.model.discriminator, EvidenceDiscriminator)
    head = lesson.model.discriminator.confirmed
    assert head is not None
    head.get_buffer("weight_0")[0, 0] = float("nan")
    save_weights(own / "taught" / "0001" / "subspaces.safetensors", lesson.model, ("discriminator.confirmed.",))
    with pytest.raises(UserError, match="does not belong"):
        load(own)


def test_a_lesson_that_finds_fewer_is_not_taken(own: Path, defects: list[Path]) -> None:
    correction = prepare_correction(own, [], [(file, file.name) for file in defects], join=True)
    worse = correction.lesson.__class__(**{**vars(correction.lesson), "found": (7, 6)})
    with pytest.raises(UserError, match=r"7 of the confirmed defects .* and 6 with it.*--force"):
        apply_correction(own, Correction(worse, correction.compared, ()))
    assert not (own / "taught").exists()
    assert apply_correction(own, Correction(worse, correction.compared, ()), force=True).taught == 1


@pytest.mark.slow
@pytest.mark.parametrize("field", ["model.tile=48", "training.tolerance.shift=0.05", "model.discriminator.general=0"])
def test_every_kind_of_evidence_learns(field: str, ample: Path, defects: list[Path], tmp_path: Path) -> None:
    own = trained_with(ample, tmp_path / "run", field, "training.steps=0")
    lesson = learn(own, [], [], defects=defects)
    assert len(lesson.calibration.good_scores) == LEAST_GOOD + 4 and lesson.found[1] >= lesson.found[0]
    compared = compare_defects(own, lesson, defects)
    before, after = (
        sum(score > limit for score in scores)
        for scores, limit in zip((compared.before, compared.after), compared.thresholds, strict=True)
    )
    assert after >= before
    save_lesson(own, lesson)
    assert [found.score for found in load(own).inspect_many(defects)] == pytest.approx(compared.after, abs=2e-3)


def test_the_paper_s_discriminator_cannot(ample: Path, defects: list[Path], tmp_path: Path) -> None:
    paper = ("model.discriminator.kind=paper", "model.discriminator.residual_layers=1")
    own = trained_with(ample, tmp_path / "run", *paper, "model.discriminator.widths=[16,8,8,4]", "training.steps=1")
    with pytest.raises(UserError, match="the paper's discriminator"):
        learn(own, [], [], defects=defects)


@pytest.mark.slow
def test_an_export_says_the_same(own: Path, ample: Path, defects: list[Path], tmp_path: Path) -> None:
    save_lesson(own, learn(own, [], [], defects=defects))
    exported = realnet.export(own, tmp_path / "exported", images=ample / "widget" / "train" / "good", progress=False)
    assert exported is not None
    scores = [found.score for found in load(own).inspect_many(defects)]
    assert [found.score for found in exported.inspect_many(defects)] == pytest.approx(scores, abs=1e-3)
