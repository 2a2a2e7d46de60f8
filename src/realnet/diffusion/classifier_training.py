"""Training the classifier of noised images for guidance, where a model knows several categories."""

import json
import time
from collections.abc import Callable, Sequence

import torch

from realnet.atomic import write_text
from realnet.data import Category, GoodImages, survey
from realnet.diffusion.classifier import ClassifierConfig, NoisyClassifier, classifier_loss
from realnet.diffusion.config import UNetConfig
from realnet.diffusion.model_folder import CLASSIFIER_CONFIG, CLASSIFIER_FILE, DiffusionModel
from realnet.diffusion.noisy_batches import NoisedBatches
from realnet.diffusion.process import diffuse
from realnet.diffusion.schedule import make_schedule
from realnet.errors import UserError
from realnet.model.saving import save_weights


def train_classifier(
    model: DiffusionModel,
    categories: Sequence[Category],
    steps: int,
    learning_rate: float = 3e-4,
    report: Callable[[int], None] = lambda step: None,
) -> float:
    """Train p(category | x_t) on the good images that ``model`` knows and save it beside it.

    The network is the way down of the model's own U-Net at half its width, as in Dhariwal & Nichol 2021.

    Steps are of ``training.batch_size`` images (16 at least); ``report`` is told each. Returns the mean loss, in nats,
    over the last tenth of them. UserError for a model of one category, or where ``categories`` lack one of the model's.
    """
    names = model.categories
    if len(names) < 2:
        raise UserError(f"{model.folder} knows one category only: there is nothing a classifier could guide towards.")
    missing = sorted(set(names) - {category.name for category in categories})
    if missing:
        raise UserError(f"The data has no category {missing[0]}, which {model.folder} was trained on: give that data.")
    settings, device = model.config.denoiser, model.denoiser.alphas_bar.device
    config = ClassifierConfig(
        **settings.model_dump(include=set(UNetConfig.model_fields) - {"width"}),
        width=max(8, settings.width // 2 // 8 * 8),
        categories=len(names),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.config.seed)
        classifier = NoisyClassifier(config).to(device).train()
    samples = [sample for category in categories if category.name in names for sample in category.train]
    files = [sample.image for sample in samples]
    images = GoodImages(files, settings.image_size, 2**30, levels=survey(files).levels)
    size = max(16, model.config.training.batch_size)
    training = model.config.training.model_copy(update={"batch_size": size})
    batches = NoisedBatches(
        images,
        [names.index(sample.category) for sample in samples],
        model.config.model_copy(update={"training": training, "seed": model.config.seed + 1}),
    )
    schedule = make_schedule(model.config.process)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=0.05)
    losses: list[float] = []
    started = time.monotonic()
    for step, batch in zip(range(1, steps + 1), batches.starting_at(0, device), strict=False):
        assert batch.category is not None
        x_t = diffuse(schedule, batch.images, batch.places, batch.epsilon)
        t = schedule.timesteps.to(device)[batch.places]
        loss = classifier_loss(classifier, x_t, t, batch.category).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        report(step)
    last = losses[-max(1, steps // 10) :]
    figure = sum(last) / len(last)
    write_text(model.folder / CLASSIFIER_CONFIG, config.to_json())
    save_weights(model.folder / CLASSIFIER_FILE, classifier)
    note = {"steps": steps, "loss_nats": figure, "seconds": round(time.monotonic() - started, 1)}
    write_text(model.folder / "classifier_training.json", json.dumps(note, indent=2))
    return figure
