"""Subspaces fitted to good images by folds: every image is judged by one that has not seen it."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from realnet.config import Config
from realnet.model.evidence import EvidenceDiscriminator
from realnet.model.familiarity import describe
from realnet.model.folding import fold_batch_norms
from realnet.model.general import general_weights
from realnet.model.network import RealNet
from realnet.model.subspace import Gram, Rebuilding, Subspace, set_subspace
from realnet.training.memory import give_back_memory
from realnet.training.out_of_sample import OutOfSample, Residuals

# Identical images leave no residual; what is below a thirtieth of a feature's deviation is rounding.
_LEAST_LEVEL = 1e-3
# Feature maps that are judged at a time.
_ROWS = 128


def judge_by_folds(
    model: RealNet, config: Config, result: OutOfSample, parts: Mapping[str, Sequence[Tensor]], judged: Sequence[str]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Judge some parts out of sample; returns mean, basis and level of the subspace of all good images, a network.

    Args:
        model: its evidence is fitted.
        result: how the images belong together; residuals and energies are set.
        parts: selected features ``[n, m_k, h_k, w_k]`` a network, named as the parts of ``result``: ``good`` and, where
            there are copies, ``moved`` join the subspaces.
        judged: the names of the parts whose residuals are wanted, ``good`` among them.
    """
    settings = config.model.reconstruction
    fold = result.fold(config.training.folds)
    for part in result.parts():
        part.logs = []
    of = torch.cat([result.good.of, result.moved.of])
    solved = []
    for k, good in enumerate(parts["good"]):
        gram = Gram(torch.cat([good, *([parts["moved"][k]] if "moved" in parts else [])]).flatten(1).float())
        by = [
            gram.rebuilding((fold[of] != number).nonzero()[:, 0], settings.variance, settings.components)
            for number in range(int(fold.max()) + 1)
        ]
        level = None
        for name in sorted(judged, key="good".__ne__):  # good images first: they are the unit
            own: Residuals = getattr(result, name)
            place = {"good": 0, "moved": len(good)}.get(name)
            squares: Iterable[Tensor] = _squares(gram, parts[name][k], fold[own.of], by, place)
            if level is None:
                squares = [torch.cat(list(squares))]
                level = squares[0].mean((0, 2, 3)).clamp_min(_LEAST_LEVEL)
            unit = level[:, None, None]
            own.logs.append(torch.cat([some.div_(unit).log1p_().half() for some in squares]))
        assert level is not None
        mean, basis = gram.fit(range(len(gram.maps)), settings.variance, settings.components)
        solved.append((mean, basis, level))
        del gram, squares
        give_back_memory()
    _fit_evidence(model, result)
    return solved


def _squares(gram: Gram, maps: Tensor, fold: Tensor, by: Sequence[Rebuilding], first: int | None) -> Iterator[Tensor]:
    """Squares of what subspaces leave of ``maps`` ``[n, m, h, w]``, some rows after others.

    Args:
        fold: which of the subspaces ``by`` judges each map.
        first: the place of the first map among those of ``gram``; None: they are not among them.
    """
    for rows in torch.arange(len(maps), device=maps.device).split(_ROWS):
        own = maps[rows]
        centred = own.flatten(1).float() - gram.origin
        products = None if first is None else gram.products[first + rows]
        yield gram.left(centred, by, fold[rows.cpu()].to(maps.device), products).square_().view(own.shape)


def set_solved(model: RealNet, solved: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Make the subspaces of ``model`` those that :func:`judge_by_folds` returned."""
    for network, (mean, basis, level) in zip(model.reconstruction.networks, solved, strict=True):
        assert isinstance(network, Subspace)
        set_subspace(network, mean, basis)
        network.level.copy_(level)


@torch.no_grad()
def fit_familiarity(model: RealNet, config: Config, result: OutOfSample, parts: Mapping[str, Sequence[Tensor]]) -> None:
    """Fit what an image of the product is like as a whole, to good images and their copies.

    With tiles whatever is shown is known: a defect may fill a tile.

    Args:
        parts: as for :func:`judge_by_folds`.
    """
    if model.familiarity is None:
        return
    found, of = [], []
    for name in (name for name in ("good", "moved", "at_limit") if name in parts):
        features = parts[name]
        found += [describe([f[i : i + 64] for f in features]) for i in range(0, len(features[0]), 64)]
        of.append(getattr(result, name).of)
    folds = result.fold(config.training.folds)[torch.cat(of)]
    descriptions = torch.cat(found)
    model.familiarity.fit(
        descriptions, folds.to(descriptions.device), model.selected_scales(), bounded=config.model.tile is None
    )


def _fit_evidence(model: RealNet, result: OutOfSample) -> None:
    """Fit the evidence to the good images, and compute that of all that is to have a verdict."""
    if (discriminator := model.evidence) is None:
        return
    for k, log in enumerate(result.good.logs):
        discriminator.fit_typical(k, log.amax((2, 3)).float().expm1())
    size = model.config.image_size
    untrained = discriminator.general > 0 and not discriminator.trained
    for part in (result.good, result.faint, result.at_limit):  # the others have no verdict
        judged = bool(part.logs) and len(part) > 0
        part.energies = _energies(discriminator, part) if judged else []
        part.logits = _untrained(discriminator, part) if judged and untrained else None
    discriminator.fit_evidence(result.good.energies, (size, size))
    if result.good.logits is not None:
        discriminator.fit_learned(result.good.logits, (size, size), trained=False)


def _energies(discriminator: EvidenceDiscriminator, part: Residuals) -> list[Tensor]:
    found = [discriminator.log_energies(part.residuals(slice(i, i + 64))) for i in range(0, len(part), 64)]
    return [torch.cat([energies[k] for energies in found]) for k in range(len(found[0]))]


def load_general(model: RealNet) -> None:
    """Start the heads as the package's general head, of the channels that AFS has selected, if that knows them."""
    if model.evidence is not None and model.evidence.general:
        indices = [getattr(model.afs, f"index_{k}", None) for k in range(len(model.afs.dimensions))]
        weights = general_weights(indices)
        for head in model.evidence.heads:
            head.load_state_dict(weights)


def _untrained(discriminator: EvidenceDiscriminator, part: Residuals) -> Tensor:
    """Logits ``[n, 1, h, w]`` of ``part`` by the heads, which are all alike."""
    head = copy.deepcopy(discriminator.heads[0]).eval().to(memory_format=torch.channels_last)
    fold_batch_norms(head, [log[:1].float() for log in part.logs])
    return torch.cat([head(part.log_rows(slice(i, i + 16))) for i in range(0, len(part), 16)])
