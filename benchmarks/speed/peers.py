"""Exported RealNet against anomalib's exported peers: speed from JPEG bytes to scores, in turns, and accuracy.

python -m benchmarks.speed.peers ROOT RUN [--category transistor] [--peer padim] [--rounds 5] [--textures DTD]

RUN is a trained run of that category. Each peer is fitted to the same good images at RUN's image size, on the same
backbone where it takes one, and exported to OpenVINO by anomalib; RealNet is exported by ours. All run in float32 on
the test images, whose masks give the figures of both; the time of neither holds what it takes to load. Of a peer
whose weights cannot be downloaded here the speed is measured all the same, with random ones.
"""

import argparse
import logging
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.speed.end_to_end import Measure, judged
from benchmarks.speed.inference import exported
from benchmarks.speed.timing import Line, emit, hardware, interleaved
from torch import Tensor

from realnet.benchmark.peers.fitting import PeerConfig, fit_peer
from realnet.benchmark.peers.known_peers import PEERS
from realnet.benchmark.peers.peer_models import build
from realnet.data import Category, open_dataset, read_image, read_truth
from realnet.errors import UserError
from realnet.evaluation import image_auroc, per_region_overlap, pixel_auroc
from realnet.inspection.engines import quiet_openvino
from realnet.inspection.exported import to_batch
from realnet.model.saving import load_model
from realnet.run_folder import Run

NAMES = ("patchcore", "padim", "efficient_ad")


def ours(run: Path, folder: Path) -> tuple[Measure, int]:
    """The run as its OpenVINO export, and the side of its images."""
    model, config = load_model(Run(run)), Run(run).config
    engine = exported(model, config, "openvino", np.zeros((1, 3, 64, 64), np.float32), folder)

    def measure(images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        maps, scores = engine(to_batch(images))
        return maps, scores.tolist()

    return measure, config.model.image_size


def fitted(
    name: str, category: Category, size: int, textures: Path | None
) -> tuple[Any, Callable[[Tensor], Tensor], str, bool]:
    """A peer's module, what its input goes through, a remark, and whether it is fitted."""
    config = PeerConfig(name=name, image_size=size)
    try:
        peer = fit_peer(category, config, textures=textures)
    except UserError as error:
        if not PEERS[name].downloads:
            raise
        module, transform = build(PEERS[name], size, config.backbone, {}, textures)
        return module, transform, f"random weights, so of its speed alone: {error}", False
    return peer.module, peer.transform, f"fitted in {peer.seconds:.0f} s", True


def graph(module: Any, transform: Callable[[Tensor], Tensor], size: int, folder: Path) -> tuple[Measure, str]:
    """The module as anomalib exports it to OpenVINO, and a remark on that."""
    from anomalib.pre_processing import PreProcessor

    module = module.eval().cpu()
    module.pre_processor = PreProcessor(transform)  # into the graph, as anomalib has it
    path = module.to_openvino(folder, input_size=(size, size))
    with quiet_openvino():
        import openvino
    core: Any = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    room = compiled.input().get_partial_shape()[0]

    def measure(images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        # anomalib's graph of some models takes batches of one size only: it is given as many as it wants.
        most = len(images) if room.is_dynamic else room.get_length()
        maps: list[np.ndarray] = []
        scores: list[float] = []
        for start in range(0, len(images), most):
            some = list(images[start : start + most])
            found = compiled(to_batch(some + some[-1:] * (most - len(some))))
            size_of_map = found["anomaly_map"].shape[-2:]
            maps += list(found["anomaly_map"].reshape(most, *size_of_map)[: len(some)])
            scores += found["pred_score"].reshape(-1)[: len(some)].tolist()
        return np.stack(maps), scores

    return measure, "" if room.is_dynamic else f"; its graph takes batches of {room} only"


def figures(measure: Measure, category: Category, size: int) -> tuple[float, float, float]:
    """Image AUROC, pixel AUROC and PRO of the test images."""
    maps, scores, masks = [], [], []
    for sample in category.test:
        of_one, score = measure([read_image(sample.image, size)])
        maps.append(of_one[0])
        scores += score
        truth = read_truth(sample, (size, size))
        masks.append(np.zeros((size, size), bool) if truth is None else truth)
    labels = [sample.is_anomalous for sample in category.test]
    return image_auroc(scores, labels), pixel_auroc(maps, masks), per_region_overlap(maps, masks)


def shown(values: Sequence[float]) -> str:
    return " / ".join(f"{100 * value:.2f}" for value in values)


def compare(given: argparse.Namespace, name: str, realnet: Measure, size: int, category: Category) -> Line:
    """One peer in turns with ours."""
    module, transform, remark, is_fitted = fitted(name, category, size, given.textures)
    with tempfile.TemporaryDirectory() as folder:
        peer, more = graph(module, transform, size, Path(folder))
    our_figures = figures(realnet, category, size)
    remark = f"image AUROC / pixel AUROC / PRO: ours {shown(our_figures)}; {remark}{more}"
    met = None
    if is_fitted:
        their_figures = figures(peer, category, size)
        remark = f"{remark}, theirs {shown(their_figures)}"
    bodies = [sample.image.read_bytes() for sample in category.test][: given.count]
    with ThreadPoolExecutor(1) as pool:
        times = interleaved(
            {
                "ours": lambda: judged(bodies, size, realnet, pool),
                "theirs": lambda: judged(bodies, size, peer, pool),
            },
            given.rounds, warm_up=1,
        )  # fmt: skip
    speeds = {who: len(bodies) / taken for who, taken in times.items()}
    ratio = speeds["ours"] / speeds["theirs"]
    if is_fitted:
        met = ratio > 1 and our_figures[0] >= their_figures[0]
    return Line(
        f"exported, end to end, {category.name}, against {name}", "ahead at equal or better image AUROC",
        f"{speeds['ours']:.1f} images/s to {speeds['theirs']:.1f}", ratio, met,
        f"{remark}; OpenVINO float32, batches of 8, medians of {given.rounds}; {hardware()}",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--category", default="transistor")
    parser.add_argument("--peer", action="append", help=f"repeatable; default: {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=64, help="images a round (default: 64)")
    parser.add_argument("--textures", type=Path, help="a folder of textures, which EfficientAD needs")
    given = parser.parse_args()
    logging.getLogger("anomalib").setLevel(logging.ERROR)
    category = open_dataset(given.data, given.category)[0]
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        realnet, size = ours(given.run, Path(folder))
        for name in given.peer or NAMES:
            try:
                lines.append(compare(given, name, realnet, size, category))
            except UserError as error:
                lines.append(Line(f"exported, against {name}", "ahead", "not measured", note=str(error)))
    emit(lines)


if __name__ == "__main__":
    main()
