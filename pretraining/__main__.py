"""``python -m pretraining --cache FOLDER --output FILE``: make the discriminator that comes with the package."""

import argparse
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pretraining.residuals import ProductResiduals, residuals_of
from realnet.config import GENERAL_WIDTH
from realnet.model.evidence import EvidenceHead
from realnet.model.general import CHANNELS
from realnet.model.saving import write_tensors
from realnet.training.heads import grid_loss, hide_channels

STEPS, WARM_UP, RATE, WEIGHT_DECAY = 1600, 50, 2e-3, 1e-2
# Of each step: so many products, and of each so many good images and as many defects.
PRODUCTS, EACH = 4, 4
HIDDEN = 0.3


def train(seen: Sequence[ProductResiduals], seed: int) -> EvidenceHead:
    """A head that tells defects from good images on all products of ``seen`` at once."""
    torch.manual_seed(seed)
    head = EvidenceHead(CHANNELS, GENERAL_WIDTH).to(memory_format=torch.channels_last).train()
    draw, hide = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / STEPS))
        logs, masks = _batch(seen, draw)
        loss = grid_loss(head([hide_channels(log, HIDDEN, hide) for log in logs]), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            print(f"step {step + 1} of {STEPS}: loss {float(loss.detach()):.4f}", flush=True)
    return head.eval()


def _batch(seen: Sequence[ProductResiduals], draw: np.random.Generator) -> tuple[list[Tensor], Tensor]:
    """log(1 + E) and masks of a step; those of each product mirrored and turned alike."""
    logs: list[list[Tensor]] = [[] for _ in CHANNELS]
    masks: list[Tensor] = []
    for number in draw.choice(len(seen), min(PRODUCTS, len(seen)), replace=False):
        product = seen[number]
        good = torch.from_numpy(draw.integers(0, len(product.good[0]), EACH))
        defects = torch.from_numpy(draw.integers(0, len(product.masks), EACH))
        mirrored = [axis for axis in (2, 3) if draw.random() < 0.5]
        turned = draw.random() < 0.5
        for k in range(len(CHANNELS)):
            logs[k].append(_placed(torch.cat([product.good[k][good], product.defects[k][defects]]), mirrored, turned))
        mask = product.masks[defects]
        masks.append(_placed(torch.cat([torch.zeros_like(mask), mask]), mirrored, turned))
    shown = [torch.cat(parts).float().contiguous(memory_format=torch.channels_last) for parts in logs]
    return shown, torch.cat(masks)


def _placed(maps: Tensor, mirrored: Sequence[int], turned: bool) -> Tensor:
    return (maps.transpose(2, 3) if turned else maps).flip(list(mirrored))


def main() -> None:
    """Make the residuals that are not there yet, train, and write the file and what its digest is."""
    parser = argparse.ArgumentParser(prog="python -m pretraining", description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the residuals, about 5 GB")
    parser.add_argument("--output", type=Path, required=True, help="the file to write, as safetensors")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    head = train(list(residuals_of(options.cache, options.seed)), options.seed)
    tensors = {n: (t.half() if t.is_floating_point() else t).contiguous() for n, t in head.state_dict().items()}
    write_tensors(options.output, tensors)
    print(f"{options.output}: sha256 {hashlib.sha256(options.output.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
