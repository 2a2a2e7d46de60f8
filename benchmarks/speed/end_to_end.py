"""From JPEG bytes to a verdict: images a second and peak memory of an inspector or export, one process.

python -m benchmarks.speed.end_to_end RUN_OR_EXPORT IMAGES [--count 200] [--target 25] [--memory 0.6]
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from benchmarks.speed.timing import Line, emit, peak_gigabytes

from realnet import load
from realnet.data import decode_image, list_images, resize_image

BATCH = 8
Measure = Callable[[Sequence[np.ndarray]], tuple[np.ndarray, list[float]]]


def judged(bodies: Sequence[bytes], size: int, measure: Measure, pool: ThreadPoolExecutor) -> list[float]:
    """Scores of images from their files' bytes: one batch is decoded ahead while another is judged, as in inspect."""

    def prepare(body: bytes) -> np.ndarray:
        return resize_image(decode_image(body, "image"), size)

    scores: list[float] = []
    ahead = [pool.submit(prepare, body) for body in bodies[:BATCH]]
    for start in range(0, len(bodies), BATCH):
        images = [future.result() for future in ahead]
        ahead = [pool.submit(prepare, body) for body in bodies[start + BATCH : start + 2 * BATCH]]
        scores += measure(images)[1]
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--target", type=float, default=25.0)
    parser.add_argument("--memory", type=float, default=0.6)
    given = parser.parse_args()
    inspector = load(given.run)
    files = list_images([given.images])
    bodies = [files[i % len(files)].read_bytes() for i in range(given.count)]
    size = inspector.image_size
    with ThreadPoolExecutor(1) as pool:
        judged(bodies[: 2 * BATCH], size, inspector.measure, pool)
        start = time.perf_counter()
        scores = judged(bodies, size, inspector.measure, pool)
        speed = given.count / (time.perf_counter() - start)
    memory = peak_gigabytes()
    anomalous = sum(score > inspector.threshold for score in scores)
    emit(
        [
            Line(
                f"end to end, {given.run.name}", f">= {given.target:g} images/s", f"{speed:.1f} images/s",
                met=speed >= given.target, note=f"{given.count} JPEG files, {anomalous} anomalous",
            ),
            Line(
                f"memory of inference, {given.run.name}", f"<= {given.memory:g} GiB", f"{memory:.2f} GiB",
                met=memory <= given.memory, note="peak of the whole process, libraries included",
            ),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
