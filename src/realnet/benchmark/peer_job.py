"""A peer's job: fitted on the same images, judged by the same figures as RealNet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from realnet.benchmark.footprint import benchmark_device, size_of
from realnet.benchmark.jobs import Outcome, PeerJob
from realnet.benchmark.peers.fitting import PeerConfig, fit_peer, judge_images
from realnet.data import Category, read_truth
from realnet.errors import UserError
from realnet.evaluation.figures import evaluate_maps
from realnet.evaluation.results import Provenance, Results
from realnet.overriding import first_problem


def judge_peer(job: PeerJob, categories: Sequence[Category]) -> Outcome:
    """Fit the peer of ``job`` to all of ``categories`` together: every figure of each; UserError as of `fit_peer`."""
    try:
        config = PeerConfig.model_validate(job.peer)
    except ValidationError as error:
        raise UserError(f"The peer cannot be run so: {first_problem(error)}.") from error
    together = Category(
        name=categories[0].name if len(categories) == 1 else "all",
        layout=categories[0].layout,
        train=tuple(sample for category in categories for sample in category.train),
        test=tuple(sample for category in categories for sample in category.test),
    )
    device = benchmark_device()
    fitted = fit_peer(together, config, device, job.textures)
    maps, scores, speed = judge_images(fitted, together, config.image_size, device)
    names = " + ".join(dict.fromkeys(Path(place.root).name for place in job.places))
    results = figures_of(names, categories, config, maps, scores)
    measured = {"images_per_second": speed, "fit_seconds": fitted.seconds, **size_of(fitted.module.model)}
    return Outcome(results=results, measured=measured, notes=fitted.notes)


def figures_of(
    data: str, categories: Sequence[Category], config: PeerConfig, maps: np.ndarray | None, scores: np.ndarray
) -> Results:
    """Every figure of a peer's ``maps`` (None: it scores whole images) and ``scores`` of test images, in order."""
    samples, size = [sample for category in categories for sample in category.test], config.image_size
    masks = [None if maps is None else read_truth(sample, (size, size)) for sample in samples]
    if maps is None:
        maps = np.zeros((len(samples), 1, 1), np.float32)
    provenance = Provenance.of_tests(
        data, categories, seed=config.seed, preset=config.name, image_score="the method's own",
        selection="its last state",
    )  # fmt: skip
    return evaluate_maps(samples, maps, masks, scores, provenance)
