"""Quality of synthetic images: the equations against closed forms and loops, names by network, errors in words."""

import importlib
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torchvision
from rich.console import Console
from torch import Tensor
from torchmetrics.functional.image.lpips import _NoTrainLpips
from torchmetrics.image.fid import NoTrainInceptionV3, _compute_fid
from torchmetrics.image.kid import poly_kernel

from realnet.cli.figure_tables import quality_remarks, quality_table
from realnet.data import list_images
from realnet.diffusion.quality import measure as measuring
from realnet.diffusion.quality import measure_quality
from realnet.diffusion.quality import networks as providing
from realnet.diffusion.quality.clusters import Embedding, cluster_diversity, mean_distances, nearest_centres
from realnet.diffusion.quality.distances import frechet_distance, kernel_distance
from realnet.diffusion.quality.networks import Network, perceptual_network, pooled_network
from realnet.errors import UserError

INCEPTION_NAME = "weights-inception-2015-12-05-6726825d.pth"
ALEXNET_NAME = "alexnet-owt-7be5be79.pth"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees weights that happen to lie in the machine's cache."""
    folder = tmp_path_factory.mktemp("hub")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    return folder / "checkpoints"


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in torch-fidelity's layout."""
    module: Any = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

    class Blank(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: Any, **__: Any) -> None:
            """Keep the random weights."""

    empty = tmp_path_factory.mktemp("inception") / "empty.pth"
    torch.save({}, empty)
    torch.manual_seed(0)
    path = empty.with_name(INCEPTION_NAME)
    torch.save(Blank("inception-v3-compat", ["2048"], str(empty)).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def alexnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random convolutions under torchvision's names; its classifier, which LPIPS lacks, left out to be small."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("alexnet") / ALEXNET_NAME
    features = torchvision.models.AlexNet().features.state_dict()
    torch.save({f"features.{name}": tensor for name, tensor in features.items()}, path)
    return path


def normals(count: int, mean: Sequence[float], root: Tensor, seed: int) -> Tensor:
    """Rows whose sample mean is exactly ``mean`` and whose unbiased covariance is exactly ``root^T root``."""
    raw = torch.randn(count, len(mean), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    raw = raw - raw.mean(0)
    white = raw @ torch.linalg.inv(torch.linalg.cholesky(raw.T @ raw / (count - 1))).T
    return white @ root + torch.tensor(mean, dtype=torch.float64)


def test_frechet_distance_of_known_gaussians() -> None:
    """Diagonal covariances: sum of (mean difference)^2 and (deviation difference)^2."""
    a = normals(200, [0.0, 1.0, 2.0], torch.diag(torch.tensor([1.0, 2.0, 3.0]).double()), 0)
    b = normals(50, [1.0, 1.0, 0.0], torch.diag(torch.tensor([2.0, 2.0, 0.5]).double()), 1)
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + 1 + 6.25, rel=1e-9)
    # The deviations belong to turned axes: nothing changes. And a mean alone counts by its square.
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))).Q
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(12.25, rel=1e-9)
    assert frechet_distance(a, a + 3) == pytest.approx(27, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(40, 60), (40, 9), (5, 60), (6, 4), (17, 16)])
def test_frechet_distance_equals_the_eigenvalue_form(n: int, m: int) -> None:
    """In 16 dimensions: with full covariances and with such as few images give."""
    rng = torch.Generator().manual_seed(n * m)
    mix = torch.randn(16, 16, generator=rng)
    a, b = torch.randn(n, 16, generator=rng) @ mix, torch.randn(m, 16, generator=rng) + 0.3
    reference = _compute_fid(a.double().mean(0), torch.cov(a.double().T), b.double().mean(0), torch.cov(b.double().T))
    assert frechet_distance(a, b) == pytest.approx(float(reference), rel=1e-5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    for same in (a, b):
        assert 0 <= frechet_distance(same, same.flip(0)) < 1e-10 * float(same.square().sum())


def test_kernel_distance_equals_loops() -> None:
    rng = torch.Generator().manual_seed(4)
    a, b = torch.randn(7, 5, generator=rng).double(), torch.randn(7, 5, generator=rng).double() + 1

    def k(x: Tensor, y: Tensor) -> float:
        return float((x @ y / 5 + 1) ** 3)

    within = sum(k(s[i], s[j]) for s in (a, b) for i in range(7) for j in range(7) if i != j) / 42
    between = sum(k(x, y) for x in a for y in b) / 49
    distance = kernel_distance(a, b, rng)
    assert distance.mean == pytest.approx(within - 2 * between, rel=1e-9)
    assert (distance.subsets, distance.deviation) == (1, 0.0)


def test_kernel_distance_of_subsets_is_unbiased() -> None:
    """Draws of few agree with the estimate of all; of one distribution it is about zero, on both sides of it."""
    rng = torch.Generator().manual_seed(5)
    a, b = torch.randn(60, 4, generator=rng), torch.randn(40, 4, generator=rng) * 1.5 + 0.5
    x, y = a.double(), b.double()
    kx, ky = poly_kernel(x, x), poly_kernel(y, y)
    exact = (kx.sum() - kx.trace()) / (60 * 59) + (ky.sum() - ky.trace()) / (40 * 39) - 2 * poly_kernel(x, y).mean()
    few = kernel_distance(a, b, rng, subsets=3000, subset_size=5)
    assert few.mean == pytest.approx(float(exact), abs=4 * few.deviation / 3000**0.5)
    same = [
        kernel_distance(torch.randn(9, 4, generator=rng), torch.randn(9, 4, generator=rng), rng).mean
        for _ in range(400)
    ]
    assert min(same) < 0 < max(same)
    assert abs(np.mean(same)) < 4 * np.std(same) / 400**0.5
    assert kernel_distance(a, b, torch.Generator().manual_seed(1), 10, 8) == kernel_distance(
        a, b, torch.Generator().manual_seed(1), 10, 8
    )


def test_features_that_do_not_fit_are_refused() -> None:
    rng = torch.Generator()
    for a, b in (((1, 3), (4, 3)), ((4, 3), (4, 2)), ((4,), (4, 3)), ((0, 3), (4, 3))):
        with pytest.raises(ValueError, match="two rows"):
            frechet_distance(torch.zeros(a), torch.zeros(b))
        with pytest.raises(ValueError, match="two rows"):
            kernel_distance(torch.zeros(a), torch.zeros(b), rng)
    with pytest.raises(ValueError, match="NaN or infinite"):
        frechet_distance(torch.zeros(4, 3), torch.full((4, 3), torch.nan))
    with pytest.raises(ValueError, match="subsets"):
        kernel_distance(torch.zeros(4, 3), torch.zeros(4, 3), rng, subset_size=1)


def toy(points: Tensor, batch: int = 3) -> Embedding:
    """Points as embeddings of themselves, a few at a time."""

    def batches(numbers: Sequence[int]) -> Iterator[Tensor]:
        for start in range(0, len(numbers), batch):
            yield points[list(numbers[start : start + batch])]

    return batches


def brute_force_diversity(points: Tensor, centres: Tensor) -> tuple[float | None, list[int]]:
    """Groups by lowest distance, all pairs of each, mean of means."""
    groups: list[list[Tensor]] = [[] for _ in centres]
    for point in points:
        groups[int(torch.stack([(point - centre).square().sum() for centre in centres]).argmin())].append(point)
    means = [
        float(np.mean([float((x - y).square().sum()) for x, y in itertools.combinations(group, 2)]))
        for group in groups
        if len(group) >= 2
    ]
    return (float(np.mean(means)) if means else None), [len(group) for group in groups]


@pytest.mark.parametrize("seed", range(5))
def test_cluster_distance_equals_brute_force(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    points, centres = torch.randn(23, 4, generator=rng), torch.randn(8, 4, generator=rng)
    draws = [[*range(10)], [*range(5, 23, 2)], [0]]
    for draw, found in zip(draws, cluster_diversity(toy(points), 23, toy(centres), 8, draws), strict=True):
        value, sizes = brute_force_diversity(points[draw], centres)
        used = sum(size > 1 for size in sizes)
        assert (found.used, found.left_out) == (used, 8 - used)
        assert found.value == (None if value is None else pytest.approx(value, rel=1e-4))
    (whole,) = cluster_diversity(toy(points), 23, toy(centres), 8, [range(23)])
    assert whole.value == pytest.approx(brute_force_diversity(points, centres)[0], rel=1e-4)


@pytest.mark.parametrize("memory", [1, 64, 10**6])
def test_nearest_centres_do_not_depend_on_the_memory_at_hand(memory: int) -> None:
    rng = torch.Generator().manual_seed(7)
    points, centres = torch.randn(20, 4, generator=rng), torch.randn(11, 4, generator=rng)
    expected = torch.cdist(points, centres).argmin(1)
    assert nearest_centres(toy(points), 20, toy(centres), 11, memory).equal(expected)
    # Of two equal centres the first, whichever block it is in.
    twins = centres.repeat(2, 1)
    assert nearest_centres(toy(points, 5), 20, toy(twins, 2), 22, memory).equal(expected)


def test_distances_within_a_cluster_far_from_the_origin() -> None:
    points = torch.tensor([[1000.0, 0.0], [1000.001, 0.0], [1000.0, 0.001]])
    (mean,) = mean_distances(toy(points, 1), range(3), [frozenset(range(3))])
    assert mean == pytest.approx(float(torch.pdist(points.double()).square().mean()), rel=1e-6)
    assert mean_distances(toy(points), [1], [frozenset(range(3))]) == [None]


def pictures(count: int, size: int = 64, seed: int = 0) -> Tensor:
    """Smooth uint8 ``[count, 3, size, size]``."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    large = np.stack([cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC) for picture in small])
    return torch.from_numpy(large).permute(0, 3, 1, 2)


def write(folder: Path, images: Tensor, suffix: str = ".png") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{number:03}{suffix}"), image.permute(1, 2, 0).numpy()[..., ::-1])
    return list_images([folder])


def squared_distances(network: Network, images: Tensor) -> Tensor:
    embedded = network.apply(images)
    return torch.cdist(embedded[:1], embedded[1:])[0].square()


def test_lpips_embedding_gives_torchmetrics_lpips(alexnet_file: Path) -> None:
    network = perceptual_network(alexnet_file)
    assert network.titles == ("LPIPS",)
    reference = _NoTrainLpips(net="alex", pnet_rand=True)
    assert all(bool((head.model[-1].weight >= 0).all()) for head in reference.lins)  # what an embedding needs
    weights = torch.load(alexnet_file, weights_only=True)
    reference.net.load_state_dict(
        {name: weights[f"features.{name.partition('.')[2]}"] for name in reference.net.state_dict()}
    )
    images = pictures(4)
    scaled = images.float() / 255
    expected = reference(scaled[:1].expand(3, -1, -1, -1), scaled[1:], normalize=True).flatten()
    torch.testing.assert_close(squared_distances(network, images), expected, rtol=1e-3, atol=1e-6)


def test_offline_perceptual_distance_equals_its_definition() -> None:
    network = perceptual_network()
    assert network.titles == ("PD-lite0",)
    images = pictures(3)
    features = providing._lite0("cpu").extract(images.float() / 255)
    expected = torch.zeros(2)
    for feature in features:
        unit = torch.nn.functional.normalize(feature, dim=1)
        expected += (unit[:1] - unit[1:]).square().sum(1).mean((1, 2)) / len(features)
    torch.testing.assert_close(squared_distances(network, images), expected, rtol=1e-3, atol=1e-6)
    assert 0 < float(expected.max()) < 4


def test_inception_features_are_those_of_torchmetrics(inception_file: Path) -> None:
    network = pooled_network(inception_file)
    assert network.titles == ("FID", "KID")
    images = pictures(2, 96)
    reference = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(inception_file), antialias=False)
    torch.testing.assert_close(network.apply(images), reference(images), rtol=1e-4, atol=1e-5)


def test_figures_are_named_after_what_made_them(tmp_path: Path, inception_file: Path, alexnet_file: Path) -> None:
    real, synthetic = write(tmp_path / "real", pictures(2)), write(tmp_path / "synthetic", pictures(4, seed=1))
    offline = measure_quality(synthetic, real, real, size=32)
    names = [figure.name for figure in offline.figures]
    assert names == ["FD-lite0", "KD-lite0", "cluster PD-lite0", "IC-PD-lite0"]
    shown = offline.to_json() + " ".join(quality_remarks([("a", offline)]))
    assert "FID" not in shown and "KID" not in shown and "LPIPS" not in shown
    # The published files are recognised by their content, so a file of that name alone earns a remark.
    local = measure_quality(synthetic, real, size=32, inception=inception_file, alexnet=alexnet_file)
    assert [figure.name for figure in local.figures] == ["FID", "KID", "cluster LPIPS"]
    assert sum("is not the published file" in note for note in local.notes) == 2
    assert INCEPTION_NAME in local.figures[0].network and str(inception_file.parent) not in local.to_json()
    mixed = measure_quality(synthetic, real, size=32, alexnet=alexnet_file)
    assert [figure.name for figure in mixed.figures] == ["FD-lite0", "KD-lite0", "cluster LPIPS"]


def test_weights_in_the_cache_serve_unasked(
    empty_cache: Path, alexnet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_cache.mkdir()
    (empty_cache / ALEXNET_NAME).write_bytes(alexnet_file.read_bytes())
    assert perceptual_network().titles == ("LPIPS",)
    assert pooled_network().titles == ("FD-lite0", "KD-lite0")
    # Nobody asked for Inception: a cached file is no reason to demand torch-fidelity.
    (empty_cache / INCEPTION_NAME).write_bytes(b"")
    monkeypatch.setattr(providing, "find_spec", lambda name: None if name == "torch_fidelity" else True)
    assert pooled_network().titles == ("FD-lite0", "KD-lite0")


def test_numbers_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, synthetic = write(tmp_path / "real", pictures(3)), write(tmp_path / "synthetic", pictures(9, seed=1))
    good = write(tmp_path / "good", pictures(2, seed=2))
    once = measure_quality(synthetic, real, size=32)
    assert (once.real, once.synthetic, once.available, once.good, once.repeats) == (3, 9, 9, None, 1)
    assert all(figure.deviation is None for figure in once.figures)
    assert any("once" in note for note in once.notes)
    assert any("3 images are fewer than the 320 features" in note for note in once.notes)

    told: list[str] = []
    thrice = measure_quality(synthetic, real, good, size=32, sample=3, seed=1, progress=told.append)
    assert (thrice.synthetic, thrice.available, thrice.good, thrice.repeats, thrice.seed) == (3, 9, 2, 3, 1)
    assert told[0] == "Features of synthetic images: 9 of 9"
    frechet, kernel, cluster, within = thrice.figures
    assert frechet.deviation is not None and kernel.deviation is not None and frechet.subset_deviation is None
    assert not any("share images" in note for note in thrice.notes)
    for figure, centres in ((cluster, 3), (within, 2)):
        assert all(a + b == centres for a, b in zip(figure.groups, figure.left_out, strict=True))
        assert any(note.startswith(f"{figure.name}: ") for note in thrice.notes) == any(figure.left_out)
    assert thrice == measure_quality(synthetic, real, good, size=32, sample=3, seed=1)
    assert thrice.figures != measure_quality(synthetic, real, good, size=32, sample=3, seed=2).figures
    assert any("share images" in note for note in measure_quality(synthetic, real, size=32, sample=4).notes)

    monkeypatch.setattr(measuring, "_MOST_GOOD", 1)
    bounded = measure_quality(synthetic, real, good, size=32)
    assert bounded.good == 1 and any("1 of 2 good images" in note for note in bounded.notes)


def test_groups_without_a_pair_leave_the_figure_undefined(tmp_path: Path) -> None:
    images = pictures(2)
    real, synthetic = write(tmp_path / "real", images), write(tmp_path / "synthetic", images)
    quality = measure_quality(synthetic, real, size=32)
    cluster = quality.figures[2]
    assert (cluster.value, cluster.text, cluster.groups, cluster.left_out) == (None, "–", (0,), (2,))
    assert any("2 of 2 groups" in note for note in quality.notes)
    assert quality.figures[0].value == pytest.approx(0, abs=1e-6)
    assert json.loads(quality.to_json())["figures"][2]["value"] is None


def test_jpeg_is_taken_and_remarked_by_content(tmp_path: Path) -> None:
    real = write(tmp_path / "real", pictures(2))
    synthetic = write(tmp_path / "jpeg", pictures(3), ".jpg")
    disguised = synthetic[0].rename(synthetic[0].with_suffix(".png"))
    quality = measure_quality([disguised, *synthetic[1:]], real, size=32)
    assert any("JPEG moves FD-lite0" in note and "3 of 3 synthetic images" in note for note in quality.notes)
    assert not any("JPEG" in note for note in measure_quality(real, real, size=32).notes)


def test_json_and_table(tmp_path: Path) -> None:
    real, synthetic = write(tmp_path / "real", pictures(2)), write(tmp_path / "synthetic", pictures(6, seed=1))
    several = measure_quality(synthetic, real, size=32, sample=2)
    single = measure_quality(synthetic, real, real, size=64)
    assert json.loads(several.to_json()) == several.model_dump(mode="json")
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(quality_table([("sdas [s=0.2]", several), ("dtd", single)]))
    text = console.export_text()
    for part in ("sdas [s=0.2]", "3 x 2", "±", "FD-lite0", "IC-PD-lite0", "32x32 and 64x64", "lower is better", "–"):
        assert part in text
    assert "dtd: All synthetic images" in " ".join(text.split())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"synthetic": 1}, "There are 1 synthetic images, and the quality needs 2 at least"),
        ({"real": 0}, "There are 0 real anomalous images"),
        ({"good": 0}, "There are 0 good images"),
        ({"size": 100}, "multiple of 32"),
        ({"repeats": 0}, "measured once at least"),
        ({"sample": 9}, "A sample of 9 cannot be drawn of 4 synthetic images"),
        ({"inception": Path("none.pth")}, "no weight file none.pth for Inception v3"),
        ({"alexnet": Path("none.pth")}, "no weight file none.pth for AlexNet"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    paths = write(tmp_path, pictures(4, 32))
    sets = {name: paths[: change.pop(name, 4)] for name in ("synthetic", "real", "good")}
    with pytest.raises(UserError, match=sentence):
        measure_quality(sets["synthetic"], sets["real"], sets["good"], **{"size": 32, **change})


class Surprise:
    """What must never be unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return eval, ("1 / 0",)


def test_weights_that_do_not_fit_are_told_in_a_sentence(
    tmp_path: Path, alexnet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch_fidelity")
    poisoned, text, table = tmp_path / "poisoned.pth", tmp_path / "text.pth", tmp_path / "table.pth"
    torch.save({"fc.weight": Surprise()}, poisoned)
    text.write_text("no weights")
    torch.save({"epoch": 3}, table)
    for provide, what in ((pooled_network, "Inception v3"), (perceptual_network, "AlexNet")):
        for path in (poisoned, text):
            with pytest.raises(UserError, match=f"cannot be read as weights of {what}"):
                provide(path)
        with pytest.raises(UserError, match="holds no table of tensors"):
            provide(table)
    torch.save({"other": torch.zeros(1)}, table)
    with pytest.raises(UserError, match="holds no weights of AlexNet"):
        perceptual_network(table)
    with pytest.raises(UserError, match="holds no weights of Inception v3"):
        pooled_network(alexnet_file)


def test_nothing_is_fetched_unasked_and_a_failed_download_says_what_to_do(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(url: str, *_: Any, **__: Any) -> None:
        asked.append(url)
        raise OSError("unreachable")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    assert pooled_network().titles[0] == "FD-lite0" and perceptual_network().titles[0] == "PD-lite0"
    assert not asked
    for provide, name in ((pooled_network, INCEPTION_NAME), (perceptual_network, ALEXNET_NAME)):
        with pytest.raises(UserError, match="give it as a local file"):
            provide(download=True)
        assert asked[-1].endswith(name)


def test_missing_packages_are_named(inception_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providing, "find_spec", lambda name: None)
    for provide in (pooled_network, perceptual_network):
        with pytest.raises(UserError, match=r"\[lite0\]"):
            provide()

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"\[sdas\]"):
        pooled_network(inception_file)


def test_real_images(shared_data: Path, tmp_path: Path) -> None:
    """Growing distortion moves images away from the real ones; copies of one image have no diversity."""
    tiles = shared_data / "magnetic_tile" / "magnetic_tile"
    if not tiles.is_dir():
        pytest.skip("no magnetic tiles there")
    anomalous = list_images([tiles / "test" / "blowhole"])
    real, other = anomalous[:8], anomalous[8:16]
    plain = torch.from_numpy(np.stack([measuring.read_image(path, 96) for path in other])).permute(0, 3, 1, 2)
    noise = torch.randn(plain.shape, generator=torch.Generator().manual_seed(0))
    found = []
    for strength in (0, 12, 40):
        paths = write(tmp_path / str(strength), (plain + strength * noise).clamp(0, 255).byte())
        found.append(measure_quality(paths, real, size=96))
    for name in ("FD-lite0", "KD-lite0"):
        values = [quality.figure(name).value for quality in found]
        assert values == sorted(values), (name, values)
    copies = measure_quality(write(tmp_path / "copies", plain[:1].expand(8, -1, -1, -1)), real, size=96)
    assert copies.figure("cluster PD-lite0").value == pytest.approx(0, abs=1e-9)
    assert found[0].figure("cluster PD-lite0").value > 0.01
