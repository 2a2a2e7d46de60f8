"""Generated images made on a cluster: machines make batches, this process alone writes them."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from realnet.acceleration import allow_tf32
from realnet.cluster.connection import Cluster
from realnet.cluster.packing import Packed, pack, unpack
from realnet.data import GoodImages
from realnet.diffusion.generating import Maker, Request, make_batch
from realnet.diffusion.model_folder import DiffusionModel, load_diffusion


def maker_on(cluster: Cluster, model: DiffusionModel, request: Request) -> Maker:
    """For :func:`realnet.diffusion.generating.sample_set`: batches made on ``cluster``, which ``model`` is sent to.

    A batch is a pure function of its number, so one that a lost machine had begun is simply made elsewhere, and it is
    written when it comes back: no image is lost or doubled, whatever happens to the machines. Where this process is
    lost, the same call goes on with the images that are missing.
    """
    packed = pack(cluster.ray, model.folder)
    shared = {"packed": packed, "request": request, "device": cluster.share.device}

    def make(category: str, begins: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        yield from cluster.spread(_make, begins, {**shared, "category": category})

    return make


def _make(begin: int, packed: Packed, category: str, request: Request, device: str) -> np.ndarray:
    loaded = packed, device, request.guidance > 0
    return make_batch(_loaded(*loaded), category, _starts(*loaded, category), request, begin)


@lru_cache(maxsize=1)
def _loaded(packed: Packed, device: str, guided: bool) -> DiffusionModel:
    allow_tf32(device)
    return load_diffusion(unpack(packed), device, guided)


@lru_cache(maxsize=1)
def _starts(packed: Packed, device: str, guided: bool, category: str) -> GoodImages | None:
    return _loaded(packed, device, guided).starts(category)
