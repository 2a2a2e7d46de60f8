"""Good images that hardly differ from another: pictures of one part taken in a row, or edited copies."""

import cv2
import numpy as np

from realnet.data.good_images import GoodImages

_SIDE = 64
# Compared with each other; of more, those that follow each other.
_BLOCK = 1500
# Of the distances between two images, that which two of five stay below is the usual one, also where there are two
# kinds of parts: pictures of one part lie nearer than a tenth of it, those of two parts hardly ever do.
_USUAL, _NEAR = 0.4, 0.1
_FEWEST, _FEW = 8, 0.05


def describe_alike(images: GoodImages) -> list[str]:
    """What is said of images that hardly differ from another, where more than one in twenty does; reads all of them."""
    if images.tiled or len(images) < _FEWEST:
        return []
    pairs = find_alike(np.stack([_outlines(image) for image in images]))
    if len(pairs) <= max(1, _FEW * len(images)):
        return []
    first, second = next(iter(pairs.items()))
    return [
        f"{len(pairs)} of {len(images)} good images hardly differ from another, such as {images.names[first]} and "
        f"{images.names[second]}. Where they show the same part, the threshold promises more than it keeps: take one "
        "picture of each part; --exclude leaves one out."
    ]


def find_alike(vectors: np.ndarray) -> dict[int, int]:
    """Of float32 ``[N, D]`` the rows that lie very near another, each with the nearest one."""
    found: dict[int, int] = {}
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        if len(block) < _FEWEST:
            continue
        squares = (block**2).sum(1)
        distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * block @ block.T, 0))
        np.fill_diagonal(distances, np.inf)
        usual = np.quantile(distances[np.isfinite(distances)], _USUAL)
        for row in np.nonzero(distances.min(1) < _NEAR * usual)[0]:
            found[start + int(row)] = start + int(distances[row].argmin())
    return found


def _outlines(image: np.ndarray) -> np.ndarray:
    """An image without its brightness and shading: float32, of mean 0 and deviation 1."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).mean(axis=2)
    edges = small - cv2.GaussianBlur(small, (0, 0), _SIDE / 16)
    return ((edges - edges.mean()) / (edges.std() + 1e-3)).reshape(-1)
