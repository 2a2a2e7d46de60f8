"""Peak memory of a process that judges images with a preset's network: random weights, which cost the same.

python -m benchmarks.speed.memory PRESET [--limit 4] [--batch 8]
"""

import argparse

import numpy as np
import torch
from benchmarks.speed.timing import Line, emit, hardware, peak_gigabytes

from realnet import RealNet, presets
from realnet.inspection.inspector import measure
from realnet.model.folding import fold_batch_norms
from realnet.model.threads import Threads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("--limit", type=float, default=4.0, help="GiB (default: 4)")
    parser.add_argument("--batch", type=int, default=8)
    given = parser.parse_args()
    config = presets[given.preset]
    size = config.model.image_size
    # As `realnet.load` makes it ready.
    model = RealNet(config, pretrained=False).to(memory_format=torch.channels_last).eval()
    fold_batch_norms(model, torch.zeros(1, 3, size, size))
    loaded = peak_gigabytes()
    measure(model, [np.zeros((size, size, 3), np.uint8)] * given.batch, Threads())
    peak = peak_gigabytes()
    note = f"batch {given.batch}, {loaded:.2f} GiB once it is loaded; whole process; {hardware()}"
    emit([Line(f"memory of inference, {given.preset}", f"<= {given.limit:g} GiB", f"{peak:.2f} GiB", None,
               peak <= given.limit, note)])  # fmt: skip


if __name__ == "__main__":
    main()
