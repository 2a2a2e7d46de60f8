"""Inference on the CPU: the plain eager float32 model against the OpenVINO export of the same weights.

python -m benchmarks.speed.inference PRESET [--run RUN] [--rounds 9] [--batch 8] [--int8]

Without a run the network has random weights: its speed does not depend on them.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.speed.timing import Line, emit, gemm_peak, hardware, interleaved
from torch.utils.flop_counter import FlopCounterMode

from realnet import RealNet, presets
from realnet.config import Config
from realnet.export.formats import write_graph
from realnet.inspection.engines import open_engine
from realnet.manifest import Manifest, describe_file
from realnet.model.saving import load_model
from realnet.run_folder import Run

TARGET = 2.0


def network(preset: str, run: Path | None) -> tuple[RealNet, Config]:
    """The model of a run, or of a preset with random weights and statistics that keep its features apart."""
    if run is not None:
        return load_model(Run(run)), Run(run).config
    config = presets[preset]
    torch.manual_seed(0)
    return RealNet(config, pretrained=False).eval(), config


def exported(model: RealNet, config: Config, form: Any, images: np.ndarray, folder: Path) -> Any:
    """The model as an OpenVINO engine."""
    size, kind = config.model.image_size, config.model.image_score
    calibration = [images[i : i + 1] for i in range(len(images))] if form == "openvino-int8" else ()
    files = write_graph(folder, model, size, form, calibration)
    manifest = Manifest(
        format=form, files=tuple(describe_file(file) for file in files), image_size=size, image_score=kind,
        threshold=0.5, pixel_threshold=0.5, verification={}, provenance={}, licence="",
    )  # fmt: skip
    return open_engine(folder, manifest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--int8", action="store_true")
    given = parser.parse_args()
    model, config = network(given.preset, given.run)
    size = config.model.image_size
    images = np.random.default_rng(0).random((given.batch, 3, size, size), dtype=np.float32)
    plain = model.to(memory_format=torch.contiguous_format)
    tensor = torch.from_numpy(images)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        expected = plain(tensor)[:, 0].numpy()
    flops = counter.get_total_flops()

    def eager() -> None:
        with torch.no_grad():
            plain(tensor)

    with tempfile.TemporaryDirectory() as folder:
        forms = ["openvino", *(["openvino-int8"] if given.int8 else [])]
        engines = {}
        for form in forms:
            place = Path(folder) / form
            place.mkdir()
            engines[form] = exported(model, config, form, images, place)
        apart = float(np.abs(engines["openvino"](images)[0] - expected).max())
        calls = {"eager": eager, **{form: (lambda engine=engine: engine(images)) for form, engine in engines.items()}}
        seconds = interleaved(calls, given.rounds)
    peak = gemm_peak()
    lines = []
    for form in forms:
        ratio = seconds["eager"] / seconds[form]
        speed, share = given.batch / seconds[form], flops / seconds[form] / peak
        note = f"eager {given.batch / seconds['eager']:.2f} images/s, batch {given.batch}"
        if form == "openvino":
            note += f", maps differ by {apart:.1e} at most, {flops / given.batch / 1e9:.1f} GFLOP an image"
            note += f", {share:.0%} of the matrix product peak of {peak / 1e9:.0f} GFLOP/s"
        lines.append(
            Line(
                f"inference {given.preset}, {form}", f">= {TARGET:g}x eager", f"{speed:.2f} images/s", ratio,
                ratio >= TARGET and (form != "openvino" or apart <= 1e-3), f"{note}; {hardware()}",
            )
        )  # fmt: skip
    emit(lines)


if __name__ == "__main__":
    main()
