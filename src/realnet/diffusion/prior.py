"""A Gaussian of the good images: the best linear denoiser, known before anything is trained."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Fewer images than this have no principal components worth the name; their grain alone is then the model.
_LEAST_IMAGES = 8


class GaussianPrior(nn.Module):
    """N(mean, U diag(lambda) U^T + rho^2 (I - U U^T)): the product's mean, its main variations, and a rest.

    For images like that the expectation of x_0 given x_t is exact and linear (see `forward`). A small network that has
    to learn only what this leaves learns in minutes what takes it hours from nothing.

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
        self.register_buffer("rest", torch.tensor(0.25))

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
        count = min(len(self.basis), len(seen) - 1) if len(seen) >= _LEAST_IMAGES else 0
        if count:
            centred = seen - mean
            # The few images' products rather than the many pixels': the same components at a fraction of the work.
            _, vectors = torch.linalg.eigh((centred @ centred.T).double())
            directions = vectors.flip(1)[:, :count].float().T @ centred
            self.basis[:count] = torch.nn.functional.normalize(directions, dim=1)
        projected = (unseen - mean) @ self.basis.T
        self.variances.copy_(projected.square().mean(0))
        leftover = unseen - mean - projected @ self.basis
        self.rest.copy_(leftover.square().mean().clamp_min(1e-4))

    def forward(self, y: Tensor, variance: Tensor) -> Tensor:
        """E[x_0 | y] for y = x_0 + noise of ``variance``: each direction is shrunk towards the mean by its own share.

        Shapes:
            y: ``[B, 3, S, S]``. variance: ``[B]``. output: ``[B, 3, S, S]``.
        """
        centred = (y - self.mean).flatten(1)
        variance = variance[:, None].to(centred)
        own = self.rest / (self.rest + variance)
        shares = self.variances / (self.variances + variance)
        projected = centred @ self.basis.T
        estimate = own * centred + (projected * (shares - own)) @ self.basis
        return self.mean + estimate.view_as(y)

    def deviation(self, variance: Tensor) -> Tensor:
        """How far off, a pixel, that estimate is where U says nothing: sqrt(rho^2 v / (rho^2 + v)), ``[B]``."""
        return (self.rest * variance / (self.rest + variance)).sqrt()
