"""Whatever can be configured trains: a step or two, then the run is loaded and judges an image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from realnet import load
from realnet.data import open_dataset
from realnet.errors import UserError
from realnet.training.batches import AnomalySamples
from realnet.training.prepare import good_images, make_synthesizer
from tests.data.layouts import make_mvtec, picture, save
from tests.training.tiny import TRAINED, run, tiny

SHORT = ("training.steps=2", "training.validation_every=1")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``textures`` and ``generated`` of images."""
    root = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    for number in range(3):
        save(root / "textures" / f"t{number}.png", rng.integers(0, 256, (80, 90, 3), dtype=np.uint8))
    for number in range(3):
        save(root / "generated" / "widget" / f"g{number}.png", 255 - picture(rng)[0])
    return root


@pytest.fixture
def trains(product: Path, tmp_path: Path) -> Callable[..., None]:
    def check(*fields: str, **options: str) -> None:
        config = tiny(*SHORT, *fields)
        progress = run(product, tmp_path / "run", config, **options)  # type: ignore[arg-type]
        assert progress.step == 2
        assert len(progress.log) == 2
        assert all(np.isfinite(row["loss"]) for row in progress.log)
        result = load(tmp_path / "run").inspect(product / "widget" / "test" / "stain" / "000.png")
        assert result.anomaly_map.shape == (64, 64)
        assert 0 <= result.anomaly_map.min() <= result.anomaly_map.max() <= 1

    return check


@pytest.mark.parametrize("synthesis", ["dtd", "nsa", "cutpaste", "sia", "mix"])
def test_every_synthesis(trains: Callable[..., None], sources: Path, synthesis: str) -> None:
    folder = {"dtd": "textures", "sia": "generated"}.get(synthesis)
    trains(f"synthesis.source={synthesis}", *([f"synthesis.directory={sources / folder}"] if folder else []))


def test_training_sees_defects_of_the_kind_asked_for(product: Path, sources: Path) -> None:
    kinds = {}
    (category,) = open_dataset(product)
    for name, folder in (("dtd", "textures"), ("sia", "generated"), ("nsa", None), ("cutpaste", None)):
        config = tiny(f"synthesis.source={name}", f"synthesis.directory={sources / folder if folder else 'null'}")
        images = good_images(category.train, config)
        synthesizer = make_synthesizer(category.train, images, config, 0)
        samples = AnomalySamples(synthesizer, len(images), 0, 4)
        kinds[name] = {synthesizer(index).kind for index in range(6)}
        assert [tuple(part.shape) for part in samples[0][:2]] == [(64, 64, 3), (1, 64, 64)]
    assert kinds == {"dtd": {"dtd"}, "sia": {"sia"}, "nsa": {"nsa"}, "cutpaste": {"cutpaste", "scar"}}


@pytest.mark.parametrize("name", ["dtd", "sia"])
def test_a_synthesis_without_its_folder_is_refused_before_anything_is_written(
    product: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UserError, match=f"Synthesis '{name}' needs a folder of .*--source.*--synthesis (mix|dtd)"):
        run(product, tmp_path / "run", tiny(f"synthesis.source={name}"))
    assert not (tmp_path / "run").exists()


# Every architecture, network, residual selection and feature selection is in one of these.
@pytest.mark.parametrize(
    ("architecture", "network", "residuals", "selection", "others"),
    [
        ("A", "subspace", "max", "afs", ("model.discriminator.kind=evidence", "model.discriminator.heads=3")),
        ("B", "subspace", "mean", "rdr", ("model.discriminator.kind=evidence", "model.discriminator.heads=1")),
        ("C", "subspace", "off", "none", ("model.discriminator.kind=evidence", "training.augmentation=auto")),
        ("A", "subspace", "max&mean", "afs", ("training.augmentation=none", "model.reconstruction.variance=0.5")),
        ("B", "simple", "mean", "rdr", ("model.backbone.standardise=false",)),
        ("C", "simple", "max&mean", "rlpr", ("model.rrs.retention=0.1",)),
        ("C", "unet", "off", "afs", ("model.image_size=128", "model.discriminator.residual_layers=0")),
        ("A", "unet", "max&mean", "none", ("model.image_size=128", "model.backbone.taps=[1,2]")),
    ],
)
def test_every_model(
    trains: Callable[..., None],
    architecture: str,
    network: str,
    residuals: str,
    selection: str,
    others: tuple[str, ...],
) -> None:
    trains(
        f"model.reconstruction.architecture={architecture}",
        *TRAINED,
        f"model.reconstruction.network={network}",
        "model.reconstruction.multipliers=[1,2]",
        "model.reconstruction.attention_at=[2]",
        f"model.rrs.mode={residuals}",
        f"model.afs.method={selection}",
        *others,
    )


@pytest.mark.parametrize(
    "fields",
    [
        ("model.image_score=pooled16", "model.image_size=96", "training.cache_gigabytes=0"),
        ("training.fresh_anomalies=5", "training.anomaly_window=7", "training.workers=1"),
        ("training.steps=null", "training.epochs=1", "training.schedule=constant"),
        ("training.reconstruction_weight=0", "synthesis.foreground=none", "synthesis.opacity=[0.5,0.6]"),
    ],
    ids=lambda fields: fields[0],
)
def test_other_settings(trains: Callable[..., None], fields: tuple[str, ...]) -> None:
    trains(*fields)


def test_mixed_precision_rounds_and_full_precision_does_not(product: Path, tmp_path: Path) -> None:
    losses = {
        precision: run(product, tmp_path / precision, tiny(*SHORT), precision=precision).log[0]["loss"]
        for precision in ("32-true", "bf16-mixed")
    }
    assert losses["bf16-mixed"] != losses["32-true"]
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.05)


def test_two_good_images_are_enough_to_start(tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", train=2)
    assert run(data, tmp_path / "run", tiny(*SHORT)).step == 2
