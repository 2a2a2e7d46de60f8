"""What is to be found: image size and threshold are chosen by it, and what is reached is said."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from realnet.calibration import read_calibration, save_calibration
from realnet.data import Sample, open_dataset, read_image
from realnet.errors import UserError
from realnet.limits import choosing
from realnet.limits.choosing import choose
from realnet.limits.drawn import Wanted
from realnet.limits.folded import FoldedScorer
from realnet.limits.reaching import EACH, reach
from realnet.model.saving import load_model
from realnet.overriding import override
from realnet.presets import presets
from realnet.progress import Watcher
from realnet.run_folder import Run
from realnet.training.kept_features import FEATURES_FILE, read_features
from tests.training.tiny import tiny

LARGE, NOTHING = Wanted("hole", 30, 120), Wanted("hole", 1, 1)


@pytest.fixture
def samples(product: Path) -> list[Sample]:
    (category,) = open_dataset(product)
    return list(category.train)


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


class Told(Watcher):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def test_images_as_they_are_have_the_scores_of_the_calibration(own: Path, samples: list[Sample]) -> None:
    kept = read_features(own / FEATURES_FILE)
    scorer = FoldedScorer(load_model(Run(own)), Run(own).config, kept, torch.device("cpu"))
    files = {sample.name: sample.image for sample in samples}
    found = scorer((read_image(files[name]), number) for number, name in enumerate(kept.names))
    assert sorted(found) == pytest.approx(read_calibration(own).good_scores, abs=2e-3)  # type: ignore[union-attr]
    assert found == pytest.approx(scorer.good_scores, abs=2e-3)


def test_what_is_reached_is_said_and_the_threshold_stays(own: Path, samples: list[Sample]) -> None:
    before = (own / "calibration.json").read_text()
    large, tiny_one = reach(own, samples, [LARGE], None, Watcher()), reach(own, samples, [NOTHING], None, Watcher())
    assert large == [f"Of {EACH} drawn defects (hole of 30 px and 120 grey levels) {EACH} are found at "
                     f"{read_calibration(own).score:.4f}: nine of ten at least, with 95% confidence."]  # type: ignore[union-attr]  # fmt: skip
    assert "at least, with 95% confidence" in tiny_one[0] and "nine of ten" in tiny_one[-1]
    assert (own / "calibration.json").read_text() == before


def test_the_threshold_is_lowered_where_that_is_cheap_and_nobody_asked_for_a_rate(
    own: Path, samples: list[Sample]
) -> None:
    calibration = read_calibration(own)
    assert calibration is not None
    # A hundred good images of which none comes near, under a threshold that is far too high.
    save_calibration(own, calibration.model_copy(update={"score": 0.99999, "good_scores": (0.0001,) * 100}))
    faint = Wanted("hole", 12, 60)
    said = reach(own, samples, [faint], "1%", Watcher())
    assert "--false-alarms" in said[-1] and read_calibration(own).score == 0.99999  # type: ignore[union-attr]
    said = reach(own, samples, [faint], None, Watcher())
    made = read_calibration(own)
    assert made is not None and made.score < 0.99999 and made.version == 2
    assert "lowered to find hole of 12 px and 60 grey levels" in made.note and made.note in said


def test_the_size_that_finds_it_is_chosen(samples: list[Sample], monkeypatch: pytest.MonkeyPatch, own: Path) -> None:
    monkeypatch.setattr(choosing, "SIZES", (64, 96))
    told = Told()
    chosen = choose(samples, presets["lite"], [LARGE], told)
    assert chosen.model.image_size == 64, "the cheapest, as all of them find it"
    assert told.said[-1].startswith("Chosen: image size 64")
    chosen = choose(samples, presets["lite"], [NOTHING], told)
    assert "none that was tried finds nine of ten" in told.said[-1]
    assert override(chosen, ["model.image_size=256", "model.tile=null"]) == presets["lite"], "nothing else is changed"


def test_an_image_size_of_ones_own_stays_and_trained_networks_are_refused(samples: list[Sample]) -> None:
    told = Told()
    assert choose(samples, tiny(), [LARGE], told) == tiny()
    assert told.said == ["--find: the image size and tiles are those that you chose."]
    with pytest.raises(UserError, match="presets lite and instant, not for paper"):
        choose(samples, presets["paper"], [LARGE], told)
    with pytest.raises(UserError, match="for one product"):
        choose([*samples, replace(samples[0], category="another")], tiny(), [LARGE], told)
