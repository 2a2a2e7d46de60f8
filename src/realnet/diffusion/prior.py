"""A Gaussian of the good images: a linear denoiser that is known before anything is trained."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Fewer images than this have no principal components worth the name; their variance alone is then the model.
_LEAST_IMAGES = 8
# The rest's variance is averaged over so many pixels a side, and never below the rounding of grey levels.
_WINDOW, _LEAST_VARIANCE = 9, 1e-4


class GaussianPrior(nn.Module):
    """The product's mean, its main variations, and a rest whose variance depends on the place.

    Along each principal component, and in what all of them leave, the expectation of x_0 given x_t is the usual
    shrinkage towards the mean. Where the rest's variance is the same everywhere that is the exact expectation for
    N(mean, U diag(lambda) U^T + rho^2 (I - U U^T)); where it varies, a good approximation. A small network that has to
    learn only what this leaves learns in minutes what takes it hours from nothing.

    Args:
        shape: ``(3, S, S)`` of the images.
        components: columns of U, at most.
    """

    mean: Tensor
    basis: Tensor
    variances: Tensor
    rest: Tensor

    def __init__(self, shape: tuple[int, int, int], components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("basis", torch.zeros(components, shape[0] * shape[1] * shape[2]))
        self.register_buffer("variances", torch.zeros(components))
        self.register_buffer("rest", torch.full((1, *shape[1:]), 0.25))

    @torch.no_grad()
    def fit(self, images: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        """Mean and components of ``images``, and by ``held_out`` how much variance each of them really has.

        A component's variance on the images it was computed from says too much, the rest's too little: both are
        measured on images that were not used. Both are batches ``[B, 3, S, S]`` in -1..1.
        """
        seen = torch.cat([batch.flatten(1) for batch in images]).float()
        unseen = torch.cat([batch.flatten(1) for batch in held_out]).float()
        mean = seen.mean(0)
        self.mean.copy_(mean.view_as(self.mean))
        self.basis.zero_()
        count = min(len(self.basis), len(seen) - 1) if len(seen) >= _LEAST_IMAGES else 0
        if count:
            centred = seen - mean
            # The few images' products rather than the many pixels': the same components at a fraction of the work.
            _, vectors = torch.linalg.eigh((centred @ centred.T).double())
            directions = vectors.flip(1)[:, :count].float().T @ centred
            # Orthonormal also where the images, such as duplicates, vary in fewer directions than there are columns.
            self.basis[:count] = torch.linalg.qr(directions.T).Q.T
        projected = (unseen - mean) @ self.basis.T
        self.variances.copy_(projected.square().mean(0))
        leftover = (unseen - mean - projected @ self.basis).view(-1, *self.mean.shape)
        variance = leftover.square().mean((0, 1), keepdim=True)
        window = min(_WINDOW, 2 * (variance.shape[-1] // 2) - 1)
        smooth = F.avg_pool2d(variance, window, stride=1, padding=window // 2, count_include_pad=False)
        self.rest.copy_(smooth[0].clamp_min(_LEAST_VARIANCE))

    def forward(self, y: Tensor, variance: Tensor) -> Tensor:
        """About E[x_0 | y] for y = x_0 + noise of ``variance`` ``[B]``: each part is shrunk by its own share."""
        centred = (y - self.mean).flatten(1)
        shares = self.variances / (self.variances + variance[:, None].to(centred))
        level = variance[:, None, None, None].to(centred)
        with _full_precision(y.device.type):
            projected = centred @ self.basis.T
            left = (centred - projected @ self.basis).view_as(y)
            along = ((projected * shares) @ self.basis).view_as(y)
        return self.mean + along + self.rest / (self.rest + level) * left

    def deviation(self, variance: Tensor) -> Tensor:
        """How far off that estimate is in what U leaves: sqrt(rho^2 v / (rho^2 + v)), ``[B, 1, S, S]``."""
        level = variance[:, None, None, None].to(self.rest)
        return (self.rest * level / (self.rest + level)).sqrt()


def _full_precision(device: str) -> AbstractContextManager[object]:
    """No autocast: at little noise epsilon is a small difference of large numbers, of which bfloat16 leaves nothing."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
