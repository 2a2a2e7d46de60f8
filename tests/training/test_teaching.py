"""Good images join a finished run: as if they had been there, undone by a word, and never half."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import realnet
from realnet import load
from realnet.atomic import write_text
from realnet.calibration import read_calibration
from realnet.calibrations import install, undo
from realnet.errors import UserError
from realnet.model.network import RealNet
from realnet.model.saving import load_model
from realnet.run_folder import Run
from realnet.training.folds import judge_by_folds, set_solved
from realnet.training.kept_features import FEATURES_FILE, read_features
from realnet.training.known_images import Said
from realnet.training.teaching import learn, save_lesson
from tests.data.layouts import picture, save
from tests.training.tiny import TRAINED, run, tiny


@pytest.fixture(scope="session")
def further(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five good images of a darker lot."""
    folder, rng = tmp_path_factory.mktemp("further"), np.random.default_rng(11)
    files = [folder / f"lot-{number}.png" for number in range(5)]
    for file in files:
        save(file, (picture(rng)[0] * 0.45).astype(np.uint8))
    return files


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def names(files: list[Path]) -> list[str]:
    return [file.name for file in files]


def test_one_after_the_other_is_as_all_at_once(own: Path, further: list[Path]) -> None:
    at_once = learn(own, further, names(further))
    save_lesson(own, learn(own, further[:2], names(further[:2])))
    later = learn(own, further[2:], names(further[2:]))
    first, second = at_once.model.state_dict(), later.model.state_dict()
    for name, tensor in first.items():
        if name.endswith("basis"):  # the sign of a direction is nobody's
            torch.testing.assert_close(second[name].t() @ second[name], tensor.t() @ tensor, atol=2e-3, rtol=0)
        else:
            torch.testing.assert_close(second[name], tensor, atol=1e-4, rtol=1e-4)
    assert later.calibration.good_scores == pytest.approx(at_once.calibration.good_scores, abs=1e-4)
    assert later.calibration.score == pytest.approx(at_once.calibration.score, abs=1e-4)
    assert set(later.digests) == set(at_once.digests) and later.names == tuple(names(further[2:]))


def test_what_a_person_called_good_stays_so(own: Path, further: list[Path]) -> None:
    before = read_calibration(own)
    assert before is not None
    install(own, before.with_confirmed([before.good_names[-1]]))
    made = save_lesson(own, learn(own, further, names(further)))
    assert made.confirmed == (before.good_names[-1],)


def test_what_is_taken_out_is_as_if_it_had_never_joined(own: Path, further: list[Path]) -> None:
    before, digest = read_calibration(own), Run(own).digest
    assert before is not None
    save_lesson(own, learn(own, further, names(further)))
    first, second = names(further)[3:]
    out = learn(own, [], [], said=Said(exclude=(first, str(further[4]), second)))
    assert out.refused == (first, second) and "lot-3.png, lot-4.png are left out" in out.sentences()[0]
    made = save_lesson(own, out)
    assert set(made.good_names) == {*before.good_names, *names(further)[:3]}
    shutil.copytree(own, own.with_name("other"))
    undo(own), undo(own)
    assert Run(own).digest == digest
    straight = learn(own, further[:3], names(further[:3]))
    assert made.good_scores == pytest.approx(straight.calibration.good_scores, abs=1e-4)
    other = own.with_name("other")
    assert len(Run(other).trained_on) == 11, "it has seen them, and they judge nothing"
    with pytest.raises(UserError, match="nothing new"):
        learn(other, [], [], said=Said(exclude=(first,)))
    back = learn(other, further[3:], [first, second])
    assert back.returned == 2 and "2 images count as good again" in back.sentences()[0]
    assert len(save_lesson(other, back).good_scores) == 11


def test_good_images_of_the_training_can_be_taken_out(own: Path, product: Path) -> None:
    before = read_calibration(own)
    assert before is not None
    one, other = before.good_names[:2]
    lesson = learn(own, [], [], said=Said(keep=(other,), exclude=(str(product / "widget" / "train" / "good" / one),)))
    made = save_lesson(own, lesson)
    assert one not in made.good_names and len(made.good_scores) == 5 and made.confirmed == (other,)
    assert len(made.defect_scores) == len(before.defect_scores) * 5 // 6, "nor is it judged by defects made of it"
    for said, sentence in [
        (Said(exclude=("nobody.png",)), r"nobody\.png is none of the good images"),
        (Said(keep=(one,)), "is none of the good images"),
        (Said(exclude=before.good_names[1:]), "Too few good images"),
    ]:
        with pytest.raises(UserError, match=sentence):
            learn(own, [], [], said=said)


def test_names_stay_apart(own: Path, further: list[Path]) -> None:
    before = read_calibration(own)
    assert before is not None
    one = before.good_names[0]
    lesson = learn(own, further[:2], [one, one])
    assert lesson.names == (f"{further[0].parent.name}/{one}", str(further[1]))
    made = save_lesson(own, lesson)
    assert len(set(made.good_names)) == 8


def test_it_is_what_fitting_to_all_features_gives(own: Path, further: list[Path]) -> None:
    lesson = learn(own, further, names(further))
    kept = read_features(own / FEATURES_FILE)
    model, config = load_model(Run(own)), Run(own).config
    shown = torch.from_numpy(np.stack([realnet.data.read_image(file, 64) for file in further]))
    with torch.no_grad():
        own_features = model.select(shown.permute(0, 3, 1, 2).float() / 255)
    for k, features in enumerate(own_features):
        torch.testing.assert_close(lesson.taught.parts["good"][k].float(), features, atol=5e-3, rtol=5e-3)
    together = kept.with_others(lesson.taught)
    assert together.groups.tolist() == list(range(11)) and len(together.parts["moved"][0]) == 11 * 16
    result = together.out_of_sample()
    with torch.no_grad():
        set_solved(model, judge_by_folds(model, config, result, together.parts, ("good", "faint")))
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(
            model.residuals(model.select(image))[0],
            lesson.model.residuals(model.select(image))[0],
            atol=1e-3,
            rtol=1e-3,
        )


def test_the_new_lot_is_good_and_the_version_before_comes_back(own: Path, further: list[Path]) -> None:
    rng = np.random.default_rng(12)
    lot = [(picture(rng)[0] * 0.45).astype(np.uint8) for _ in range(8)]
    before, digest = load(own), Run(own).digest
    scores = [found.score for found in before.inspect_many(lot)]
    write_text(own / "metrics.json", json.dumps({**json.loads((own / "metrics.json").read_text()), "test": {"a": 1}}))
    made = save_lesson(own, learn(own, further, names(further)))
    after = load(own)
    assert (made.version, made.before, made.taught, len(made.good_scores)) == (2, 1, 1, 11)
    assert after.threshold == made.score and after.origin.model_digest != digest
    assert np.median([found.score for found in after.inspect_many(lot)]) < np.median(scores)
    assert json.loads((own / "metrics.json").read_text())["test"] == {}, "figures of another model"
    assert len(Run(own).trained_on) == 6 + 5
    kept = install(own, made.model_copy(update={"score": 0.9}))
    assert kept.taught == 1, "a new threshold of the same model"
    undo(own)
    undo(own)
    assert Run(own).digest == digest and read_calibration(own).taught is None  # type: ignore[union-attr]
    assert [found.score for found in load(own).inspect_many(lot)] == scores
    assert json.loads((own / "metrics.json").read_text())["test"] == {"a": 1}
    assert len(Run(own).trained_on) == 6 and len(Run(own).digests) == 2


def test_a_run_that_was_interrupted_while_it_learned_is_as_it_was(
    own: Path, further: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, calibration = Run(own).digest, read_calibration(own)
    lesson = learn(own, further, names(further))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("realnet.training.teaching.install", killed)
    with pytest.raises(KeyboardInterrupt):
        save_lesson(own, lesson)
    assert (Run(own).digest, read_calibration(own)) == (digest, calibration)
    monkeypatch.undo()
    assert save_lesson(own, lesson).taught == 2
    assert load(own).threshold == lesson.calibration.score
    (own / "taught" / "0002" / "subspaces.safetensors").unlink()
    with pytest.raises(UserError, match="missing"):
        load(own)
    undo(own)
    assert load(own).origin.model_digest == digest


def test_what_cannot_learn_says_so(own: Path, product: Path, further: list[Path], tmp_path: Path) -> None:
    there = sorted((product / "widget" / "train" / "good").iterdir())
    with pytest.raises(UserError, match="nothing new"):
        learn(own, there, names(there))
    lesson = learn(own, [*there, further[0], further[0]], [*names(there), "a", "b"])
    assert lesson.left_out == len(there) + 1 and len(lesson.names) == 1
    (own / FEATURES_FILE).write_bytes(b"torn")
    with pytest.raises(UserError, match="damaged"):
        learn(own, further, names(further))
    (own / FEATURES_FILE).unlink()
    with pytest.raises(UserError, match="kept no features"):
        learn(own, further, names(further))
    run(product, tmp_path / "other", tiny(*TRAINED, "training.steps=1"))
    with pytest.raises(UserError, match="cannot take further images"):
        learn(tmp_path / "other", further, names(further))
    run(product, tmp_path / "lean", tiny("training.keep_features=false", "training.steps=0"))
    assert not (tmp_path / "lean" / FEATURES_FILE).exists()


@pytest.mark.parametrize("field", ["model.tile=48", "training.tolerance.shift=0.05", "model.discriminator.kind=paper"])
def test_every_kind_of_closed_form_learns(field: str, product: Path, further: list[Path], tmp_path: Path) -> None:
    more = ("model.discriminator.residual_layers=1", "model.discriminator.widths=[16,8,8,4]") * ("paper" in field)
    config = tiny(field, *more, "training.steps=1", "training.augmentation=none")
    run(product, tmp_path / "run", config)
    made = save_lesson(tmp_path / "run", learn(tmp_path / "run", further, names(further)))
    assert len(made.good_scores) == 11 and made.good_names.count("lot-3.png") == 1
    assert 0 <= load(tmp_path / "run").inspect(further[0]).score <= 1


def test_heads_stay_as_they_were_trained(own: Path, further: list[Path]) -> None:
    before: RealNet = load_model(Run(own))
    after = learn(own, further, names(further)).model
    weights = [name for name, _ in before.named_parameters() if ".heads." in name]
    assert weights
    for name in weights:
        assert torch.equal(before.state_dict()[name], after.state_dict()[name])
