"""The general head: what the discriminator learned on other products, once, and that comes with the package.

Residual energies in units of good images look alike on all products, so a head need not be of the product that it
judges, and one that is trained on the product starts from what all have in common. ``python -m pretraining`` makes the
file, and ``pretraining/README.md`` is its card.
"""

import hashlib
from collections.abc import Sequence
from importlib import resources

from safetensors.torch import load
from torch import Tensor

from realnet.errors import UserError

CHANNELS = (40, 112, 320)
"""The channels of the residuals that it knows: all that config.py's ``GENERAL_TAPS`` give."""
_FILE = "general_head.safetensors"
_SHA256 = "d5f0581d7c495afdae741619d4ef182746f2c0a9f29f07ea4240ea0ea3d90c5d"


def general_weights(chosen: Sequence[Tensor | None]) -> dict[str, Tensor]:
    """The tensors of the general :class:`~realnet.model.evidence.EvidenceHead`, in single precision.

    It enters by a 1x1 convolution a layer, so that fewer channels than it was trained on, those that AFS selected
    (``chosen`` ``[m_k]``, a layer each; None: all), are fewer columns, enlarged as the hiding of channels does.
    UserError where the file is not the one that this version came with.
    """
    data = (resources.files("realnet.model") / _FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise UserError(f"The package's file {_FILE} is damaged; install the package again.")
    head = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load(data).items()}
    for k, index in enumerate(chosen):
        if index is not None:
            name = f"entry.{k}.weight"
            head[name] = head[name][:, index.cpu()] * (CHANNELS[k] / len(index))
    return head
