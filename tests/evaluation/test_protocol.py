"""The authors' evaluator, repeated: against a plain loop; and the image scores."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import trapezoid
from skimage import measure

from realnet.evaluation import image_auroc, per_region_overlap, pixel_auroc
from realnet.evaluation.protocol import realnet_protocol
from realnet.evaluation.scores import max_score, pooled16_score


def case(seed: int, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Six maps, the last two good; regions with holes, and two in one image."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((6, 24, 20), bool)
    for mask in masks[:4]:
        row, column = rng.integers(0, 8, 2)
        mask[row : row + 8, column : column + 8] = True
        mask[row + 3 : row + 5, column + 2 : column + 5] = False
        mask[20, rng.integers(0, 18)] = True
    maps = np.clip(rng.normal(size=masks.shape) + masks * 0.8, -1, 3)
    return maps.astype(dtype), masks


def looped(maps: np.ndarray, masks: np.ndarray) -> float:
    """Threshold by threshold, region by region, in the words of the definition."""
    highest, lowest = maps.max(), maps.min()
    step = (highest - lowest) / 1000
    fprs, overlaps = [], []
    for number in range(1000):
        found = maps > maps.dtype.type(highest - number * step)
        shares = []
        for index in range(len(maps)):
            for region in measure.regionprops(measure.label(masks[index], connectivity=2)):
                hits = found[index][region.slice] & region.image_filled
                shares.append(hits.sum() / region.area)
        fprs.append((found & ~masks).sum() / (~masks).sum())
        overlaps.append(np.mean(shares))
    x = np.array(fprs)
    y = np.array(overlaps)[x <= 0.3]
    x = x[x <= 0.3]
    return float(trapezoid(y, (x - x.min()) / (x.max() - x.min())))


@pytest.mark.parametrize(("seed", "dtype"), [(0, np.float32), (1, np.float64)])
def test_pro_equals_the_loop(seed: int, dtype: type) -> None:
    maps, masks = case(seed, dtype)
    assert realnet_protocol(maps, masks).pro == pytest.approx(looped(maps, masks), abs=1e-9)


def test_filled_holes_flatter() -> None:
    """Marking a ring's hole as well costs the exact PRO, but lifts the authors' above 1."""
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    mask[12:18, 12:18] = False
    anomaly_map = np.random.default_rng(0).random((40, 40)) * 0.5
    anomaly_map[10:20, 10:20] += 1
    good = np.random.default_rng(1).random((40, 40)) * 0.5
    figures = realnet_protocol([anomaly_map, good], [mask, np.zeros_like(mask)])
    assert figures.pro is not None and figures.pro > 1
    assert per_region_overlap(anomaly_map, mask) < 1


def test_it_flips_and_says_so_where_the_exact_figures_do_not() -> None:
    maps, masks = case(2)
    figures = realnet_protocol(-maps, masks)
    labels = masks.any(axis=(1, 2))
    exact = pixel_auroc(-maps, masks)
    assert exact < 0.5
    assert figures.pixel_auroc == 1 - exact
    assert "pixel_auroc" in figures.flipped
    assert image_auroc([0.9, 0.1], [0, 1]) == 0.0
    assert realnet_protocol(np.stack([np.ones((4, 4)), np.zeros((4, 4))]), None, [0, 1]).image_auroc == 1.0
    assert figures.image_auroc == max(
        image_auroc(pooled16_score(-maps), labels), 1 - image_auroc(pooled16_score(-maps), labels)
    )


def test_without_masks_there_is_an_image_figure_only() -> None:
    maps, masks = case(3)
    figures = realnet_protocol(maps, None, masks.any(axis=(1, 2)))
    assert figures.pixel_auroc is None and figures.pro is None
    assert figures.image_auroc == realnet_protocol(maps, masks).image_auroc


def test_undefined_protocol_figures_say_so() -> None:
    maps, masks = case(4)
    with pytest.raises(ValueError, match="masks or labels"):
        realnet_protocol(maps, None)
    with pytest.raises(ValueError, match="undefined"):
        realnet_protocol(maps[4:], masks[4:])
    with pytest.raises(ValueError, match="same false positive rate"):
        realnet_protocol(np.ones_like(maps), masks)


@pytest.mark.parametrize("shape", [(3, 40, 33), (2, 16, 16), (2, 5, 40), (1, 1, 1)])
def test_pooled_score_is_the_largest_window_mean(shape: tuple[int, int, int]) -> None:
    maps = np.random.default_rng(0).random(shape, dtype=np.float32)
    window = (min(16, shape[1]), min(16, shape[2]))
    expected = F.avg_pool2d(torch.from_numpy(maps)[:, None].double(), window, stride=1).flatten(1).amax(1).numpy()
    np.testing.assert_allclose(pooled16_score(maps), expected, rtol=1e-5)
    np.testing.assert_allclose(pooled16_score(torch.from_numpy(maps)[:, None]), expected, rtol=1e-5)
    np.testing.assert_array_equal(max_score(maps), maps.reshape(len(maps), -1).max(1))


def test_scores_of_maps_of_different_sizes() -> None:
    maps = [np.full((20, 30), 0.25), np.eye(3)]
    np.testing.assert_allclose(pooled16_score(maps), [0.25, 1 / 3])
    np.testing.assert_array_equal(max_score([torch.tensor(m) for m in maps]), [0.25, 1.0])
