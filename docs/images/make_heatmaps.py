"""Draws heatmaps.png and page.png of the README: an inspector of cups, trained here, on images that it has not seen.

    python docs/images/make_heatmaps.py WORK_FOLDER

The images are those of `cups.py`. `page.png` needs the extra `serve`, Playwright and Chromium.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from cups import DEFECTS, taken

from realnet import load
from realnet.inspection.overlay import outline, overlay, to_levels
from realnet.synthesis import write_image

HERE = Path(__file__).parent
GOOD, TRIED, SIZE, PORT = 80, 5, (240, 200), 8765


def make_images(folder: Path) -> None:
    """80 good cups for training; for the pictures each defect once, and five further good cups."""
    photograph = skimage.data.coffee()
    for number in range(GOOD):
        write_image(folder / "good" / f"{number:03d}.png", taken(photograph, np.random.default_rng(number)))
    for number, (name, draw) in enumerate(DEFECTS.items(), start=1000):
        write_image(folder / "new" / f"{name}.png", taken(draw(photograph), np.random.default_rng(number)))
    for number in range(TRIED):
        write_image(folder / "new" / f"good{number}.png", taken(photograph, np.random.default_rng(2000 + number)))


def draw_heatmaps(folder: Path) -> None:
    """A column an image: as it is, its heat map, what is outlined."""
    inspector = load(folder / "run", device="cpu")
    columns = []
    for name in (*DEFECTS, "good0"):
        result = inspector.inspect(folder / "new" / f"{name}.png")
        levels = to_levels(result.anomaly_map, result.pixel_threshold)
        seen = [result.image, overlay(result.image, levels), outline(result.image, result.mask)]
        small = [cv2.resize(one, SIZE, interpolation=cv2.INTER_AREA) for one in seen]
        framed = [cv2.copyMakeBorder(one, 0, 8, 0, 8, cv2.BORDER_CONSTANT, value=(255,) * 3) for one in small]
        columns.append(np.vstack(framed))
        print(f"{name}: {result!r}")
    write_image(HERE / "heatmaps.png", np.hstack(columns))


def draw_page(folder: Path) -> None:
    """What the page of `realnet serve` shows of the same images."""
    from playwright.sync_api import Error, expect, sync_playwright

    served = subprocess.Popen(
        [sys.executable, "-m", "realnet", "serve", f"cups={folder / 'run'}", "--port", str(PORT), "--device", "cpu"]
    )
    try:
        with sync_playwright() as running:
            browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1200, "height": 780})
            for _ in range(120):
                try:
                    page.goto(f"http://127.0.0.1:{PORT}")
                    break
                except Error:
                    page.wait_for_timeout(500)
            page.set_input_files("#files", sorted((folder / "new").iterdir()))
            expect(page.locator("#cards .badge")).to_have_count(TRIED + len(DEFECTS), timeout=120_000)
            expect(page.locator("#progress")).to_be_hidden()
            page.screenshot(path=HERE / "page.png")
            browser.close()
    finally:
        served.terminate()
        served.wait()


def main() -> None:
    folder = Path(sys.argv[1])
    make_images(folder)
    train = ["train", str(folder / "good"), "--output", str(folder / "run"), "--resume"]
    train += ["--set", "model.discriminator.general=0"]  # the general head knows this photograph
    subprocess.run([sys.executable, "-m", "realnet", *train], check=True)
    draw_heatmaps(folder)
    draw_page(folder)


if __name__ == "__main__":
    main()
