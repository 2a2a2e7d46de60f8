"""Draws heatmaps.png of the README: an inspector of brickwork, trained here, on images it has not seen.

The photograph is scikit-image's `brick` (CC0): its left part is cut into good images for training, its right part into
images for the picture, four of which get a defect drawn by hand-set rules that no synthesis of RealNet uses.

    python docs/images/make_heatmaps.py WORK_FOLDER
"""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from realnet import load
from realnet.inspection.overlay import side_by_side
from realnet.synthesis import write_image

SIDE = 160


def crops(photograph: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    height, width = photograph.shape
    places = [(rng.integers(height - SIDE + 1), rng.integers(width - SIDE + 1)) for _ in range(count)]
    return [np.repeat(photograph[y : y + SIDE, x : x + SIDE, None], 3, axis=2) for y, x in places]


def defects(images: list[np.ndarray]) -> list[np.ndarray]:
    """A scratch, a hole, a stain, a smudged patch, and one image left good."""
    scratched, holed, stained, smudged, good = (image.copy() for image in images)
    cv2.polylines(
        scratched, [np.array([[20, 130], [60, 90], [85, 95], [140, 40]])], False, (225, 225, 225), 2, cv2.LINE_AA
    )
    cv2.circle(holed, (100, 60), 9, (25, 25, 25), -1, cv2.LINE_AA)
    veil = np.zeros(stained.shape[:2], np.float32)
    cv2.ellipse(veil, (60, 100), (34, 18), 30, 0, 360, 1, -1)
    veil = cv2.GaussianBlur(veil, (0, 0), 4)[..., None]
    stained = (stained * (1 - 0.45 * veil)).astype(np.uint8)
    smudged[40:84, 50:110] = cv2.GaussianBlur(smudged[40:84, 50:110], (0, 0), 5)
    return [scratched, holed, stained, smudged, good]


def main() -> None:
    work = Path(sys.argv[1])
    photograph = skimage.data.brick()
    for number, image in enumerate(crops(photograph[:, :300], 120, seed=0)):
        write_image(work / "good" / f"{number:03d}.png", image)
    run = work / "run"
    train = ["train", str(work / "good"), "--preset", "lite", "--time-budget", "5m", "--output", str(run), "--resume"]
    subprocess.run([sys.executable, "-m", "realnet", *train], check=True)
    inspector = load(run)
    shown = []
    for image in defects(crops(photograph[:, 300:], 5, seed=1)):
        result = inspector.inspect(cv2.resize(image, (256, 256), interpolation=cv2.INTER_CUBIC))
        shown.append(side_by_side(result.image, result.anomaly_map, result.mask))
        print(f"score {result.score:.3f}, threshold {result.threshold:.3f}, anomalous {result.is_anomalous}")
    rows = [cv2.copyMakeBorder(row, 0, 8, 0, 8, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for row in shown]
    write_image(Path(__file__).with_name("heatmaps.png"), np.vstack(rows))


if __name__ == "__main__":
    main()
