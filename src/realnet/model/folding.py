"""A network made ready to judge: the same function with less to compute, for inference alone."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from realnet.model.joined import JoinedNet
from realnet.model.lite0 import PaddedConv
from realnet.model.network import RealNet
from realnet.model.subspace import Subspace


def fold(model: RealNet | JoinedNet) -> None:
    """Fold all of a model that can be folded, in place, as :func:`fold_batch_norms` does.

    What runs on the processor, with channels last, is arranged for it as well: subspaces and 1x1 convolutions.
    """
    if isinstance(model, JoinedNet):
        for k in range(len(model.members)):
            fold(model.member(k))
        return
    zeros = next(model.buffers()).new_zeros
    on_processor = next(model.buffers()).device.type == "cpu"
    for network in model.reconstruction.networks:
        if isinstance(network, Subspace):
            network.in_parts = on_processor
    if model.evidence is None:
        fold_batch_norms(model, zeros(1, 3, model.config.image_size, model.config.image_size))
        return
    # Of closed-form inspectors by examples that cost nothing.
    fold_batch_norms(model.backbone.network, zeros(1, 3, 64, 64))
    if on_processor:
        use_products(model.backbone.network)
    for head in model.evidence.heads:
        fold_batch_norms(head, [zeros(1, channels, 8, 8) for channels in model.reconstruction.widths])


@torch.no_grad()
def fold_batch_norms(network: nn.Module, example: Tensor | Sequence[Tensor]) -> int:
    """Fold every BatchNorm of ``network``, in place, that alone takes what a convolution gives; how many were folded.

    In eval mode BatchNorm is an affine map of each channel, and a convolution followed by one is a convolution. Which
    layer follows which is seen when ``network`` runs once, on the smallest ``example`` it takes. It cannot be trained,
    nor its state saved, afterwards. Convolutions with TensorFlow's padding take that in as well.
    Example:
        >>> import torch
        >>> from torch import nn
        >>> from realnet.model.folding import fold_batch_norms
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU()).eval()
        >>> fold_batch_norms(network, torch.rand(1, 3, 4, 4))
        1
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return 0
    names = {module: name for name, module in network.named_modules()}
    pairs = list(_pairs(network, example))
    for conv, norm in pairs:
        assert norm.running_mean is not None and norm.running_var is not None
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        parent, _, child = names[norm].rpartition(".")
        # timm's BatchNorm does dropout (nothing in eval mode) and the activation, too.
        rest = getattr(norm, "act", None)
        setattr(network.get_submodule(parent), child, nn.Identity() if rest is None else rest)
    for module in network.modules():
        if isinstance(module, PaddedConv):
            module.take_padding_in()
    return len(pairs)


class Product(nn.Module):
    """A 1x1 convolution as a matrix product over the pixels of maps with channels last, the bias added afterwards.

    PyTorch fills its result with the bias and adds to that, which takes an eighth longer.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight.detach().flatten(1), conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of ``x`` ``[B, C, h, w]``."""
        b, c, h, w = x.shape
        product = torch.mm(x.permute(0, 2, 3, 1).reshape(-1, c), self.weight.t())
        if self.bias is not None:
            product += self.bias
        return product.view(b, h, w, -1).permute(0, 3, 1, 2)


def use_products(network: nn.Module) -> None:
    """Put a :class:`Product` in the place of every plain 1x1 convolution of ``network``."""
    for parent in list(network.modules()):
        for name, conv in list(parent.named_children()):
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == conv.stride == (1, 1) and conv.groups == 1:
                setattr(parent, name, Product(conv))


def _pairs(network: nn.Module, example: Tensor | Sequence[Tensor]) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and the BatchNorms that take what they give; both called once."""
    gave: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensors are kept, so that none is another's successor
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    calls: dict[nn.Module, int] = {}

    def count(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats and id(given[0]) in gave:
            found.append((gave.pop(id(given[0]))[0], module))

    def keep(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        gave[id(result)] = (module, result)

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(count))
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(keep))
    try:
        network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return ((conv, norm) for conv, norm in found if calls[conv] == calls[norm] == 1)
