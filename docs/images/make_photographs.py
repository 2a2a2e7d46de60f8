"""Draws light.png, camera.png, distance.png and place.png of docs/photographs.md: a part, well and badly taken.

python docs/images/make_photographs.py [FOLDER]
"""

import sys
from pathlib import Path

import cv2
import numpy as np

SIDE, GAP, BAR = 220, 12, 26


def part(centre: tuple[float, float] = (110, 110), scale: float = 1.0, angle: float = 0.0) -> np.ndarray:
    """A metal plate with four holes and a ring on a dark belt, uint8 [SIDE, SIDE, 3]."""
    rng = np.random.default_rng(4)
    plate = np.full((SIDE, SIDE, 3), 46.0)
    cv2.rectangle(plate, (28, 40), (192, 180), (176, 172, 166), -1, cv2.LINE_AA)
    for x in (52, 168):
        for y in (62, 158):
            cv2.circle(plate, (x, y), 11, (58, 56, 54), -1, cv2.LINE_AA)
    cv2.circle(plate, (110, 110), 36, (132, 130, 128), -1, cv2.LINE_AA)
    cv2.circle(plate, (110, 110), 20, (196, 192, 188), -1, cv2.LINE_AA)
    # Brushed: the grain runs across.
    plate += cv2.GaussianBlur(rng.normal(0, 16, (SIDE, SIDE)), (0, 0), sigmaX=9, sigmaY=0.6)[..., None] * 1.6
    turned = cv2.getRotationMatrix2D((110, 110), angle, scale)
    turned[:, 2] += np.array(centre) - 110
    plate = cv2.warpAffine(plate, turned, (SIDE, SIDE), flags=cv2.INTER_AREA, borderValue=(46, 46, 46))
    return np.clip(plate, 0, 255).astype(np.uint8)


def lit_from_the_left(image: np.ndarray) -> np.ndarray:
    light = np.linspace(1.35, 0.25, SIDE)[None, :, None]
    return np.clip(image * light, 0, 255).astype(np.uint8)


def reflecting(image: np.ndarray) -> np.ndarray:
    spot = np.zeros((SIDE, SIDE), np.float32)
    cv2.ellipse(spot, (140, 80), (44, 16), 35, 0, 360, 1, -1)
    return np.clip(image + 190 * cv2.GaussianBlur(spot, (0, 0), 6)[..., None], 0, 255).astype(np.uint8)


def overexposed(image: np.ndarray) -> np.ndarray:
    return np.clip(image * 1.7, 0, 255).astype(np.uint8)


def sheet(panels: list[tuple[str, np.ndarray, bool]]) -> np.ndarray:
    """Pictures side by side, each with a line below: its name, green where it is right and red where it is not."""
    height = SIDE + BAR
    drawn = np.full((height, len(panels) * (SIDE + GAP) - GAP, 3), 255, np.uint8)
    for number, (name, picture, right) in enumerate(panels):
        left = number * (SIDE + GAP)
        drawn[:SIDE, left : left + SIDE] = picture
        colour = (28, 130, 60) if right else (190, 40, 40)
        cv2.putText(drawn, name, (left, SIDE + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.48, colour, 1, cv2.LINE_AA)
    return drawn


def sheets() -> dict[str, np.ndarray]:
    """The four pictures by file name, uint8 [h, w, 3] RGB."""
    good = part()
    return {
        "light.png": sheet(
            [
                ("even light", good, True),
                ("from one side", lit_from_the_left(good), False),
                ("a reflection", reflecting(good), False),
            ]
        ),
        "camera.png": sheet(
            [
                ("sharp", good, True),
                ("out of focus", cv2.GaussianBlur(good, (0, 0), 3.5), False),
                ("overexposed", overexposed(good), False),
            ]
        ),
        "distance.png": sheet([("fills the picture", part(scale=1.2), True), ("too small", part(scale=0.35), False)]),
        "place.png": sheet(
            [
                ("against a stop", good, True),
                ("moved: --align shift", part((122, 100)), True),
                ("turned: --align rigid", part(angle=14), True),
            ]
        ),
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, picture in sheets().items():
        cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
