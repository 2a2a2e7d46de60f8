"""Several products in one inspector: one is trained for each, and all are joined, to be told no names."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from realnet.atomic import write_text
from realnet.calibration import Calibration, level, save_calibration, share_above
from realnet.card import write_card
from realnet.config import Config
from realnet.data import Category, fingerprint
from realnet.files import plain_name
from realnet.progress import Watcher
from realnet.provenance import collect_provenance, facts_of, timestamp
from realnet.record import Record, Training, Validated, save_record
from realnet.run_folder import CONFIG_FILE, PRODUCTS_FILE, PRODUCTS_FOLDER, Run, save_config
from realnet.training.checkpoint import Progress
from realnet.training.launch import Launch, alone, check_output
from realnet.training.prepare import with_levels
from realnet.training.run import Trained, train
from realnet.view import REFERENCE_FILE


def train_products(
    categories: Sequence[Category], config: Config, output: Path, launch: Launch, watcher: Watcher | None = None
) -> Trained:
    """Train an inspector on the good images of ``categories``, and save it as ``output``; errors as of `train`.

    Closed-form inspectors of several categories are one for each, a run in ``output/products``; together they judge an
    image by the product that it most likely shows (:class:`~realnet.model.joined.JoinedNet`).
    """
    watcher = watcher or Watcher()
    if not _separable(categories, config, launch):
        return train(categories, config, output, launch, watcher)
    kept, own = (PRODUCTS_FILE, CONFIG_FILE), (PRODUCTS_FOLDER, REFERENCE_FILE)
    check_output(output, "a run", kept, own, launch.resume)
    settled, said = with_levels(config, [sample.image for category in categories for sample in category.train])
    for sentence in said:
        watcher.say(sentence)
    products = named_products(categories)
    watcher.say(f"{len(products)} products, each with an inspector in {output / PRODUCTS_FOLDER}.")
    budget = None if launch.time_budget is None else launch.time_budget / len(products)
    with alone(output):
        save_config(output, settled)
        done = []
        for product in products:
            watcher.say(f"Training on {product.name}.")
            place = output / PRODUCTS_FOLDER / product.name
            # What was begun is gone on with, whether or not this one was.
            there = (place / CONFIG_FILE).is_file()
            own_launch = replace(launch, time_budget=budget, resume=launch.resume and there)
            done.append(train([product], settled, place, own_launch, watcher).progress)
        _join(output, [product.name for product in products], categories, settled, launch)
    steps, seconds = sum(one.step for one in done), sum(one.seconds for one in done)
    return Trained(Progress(steps, seconds, min(one.best_value for one in done), finished=True))


def _separable(categories: Sequence[Category], config: Config, launch: Launch) -> bool:
    """Whether an inspector can be trained for each product: not with tiles, which show parts of products."""
    solved = config.model.discriminator.kind == "evidence" and config.model.tile is None
    return len(categories) > 1 and solved and config.training.select != "oracle" and launch.devices == 1


def named_products(categories: Sequence[Category]) -> list[Category]:
    """The good images of each category, under a name that a folder can have."""
    names = [plain_name(category.name, "product", 80) for category in categories]
    counts, numbers, products = Counter(names), Counter[str](), []
    for name, category in zip(names, categories, strict=True):
        numbers[name] += 1
        own = f"{name}-{numbers[name]}" if counts[name] > 1 else name
        products.append(Category(own, category.layout, category.train, ()))
    return products


def _join(output: Path, names: Sequence[str], categories: Sequence[Category], config: Config, launch: Launch) -> None:
    runs = [Run(output / PRODUCTS_FOLDER / name) for name in names]
    trainings = [run.record.training for run in runs if run.record.training is not None]
    validations = [run.record.validation for run in runs if run.record.validation is not None]
    training = Training(
        categories=tuple(category.name for category in categories),
        good_images=sum(one.good_images for one in trainings),
        held_out_images=sum(one.held_out_images for one in trainings),
        repeated_images=sum(one.repeated_images for one in trainings),
        sizes=tuple({size for one in trainings for size in one.sizes}) if all(one.sizes for one in trainings) else (),
        augmentation=", ".join(dict.fromkeys(one.augmentation or "none" for one in trainings)),
        steps=sum(one.steps for one in trainings),
        selected_by=config.training.select,
        planned_steps=sum(one.planned_steps for one in trainings),
        best_step=sum(one.best_step for one in trainings),
        seconds=round(sum(one.seconds for one in trainings), 1),
        time_budget_seconds=launch.time_budget,
        precision=str(launch.precision),
        devices=launch.devices,
    )
    validation = Validated(
        meaning=f"the least of {len(runs)} products: {validations[0].meaning}",
        image_auroc=min(one.image_auroc for one in validations),
        good_images=sum(one.good_images for one in validations),
        synthetic_defects=sum(one.synthetic_defects for one in validations),
    )
    provenance = collect_provenance(
        data_fingerprint=fingerprint([sample for category in categories for sample in category.train]),
        split="train",
        **facts_of(config),
        backbone_weights=runs[0].record.provenance.get("backbone_weights"),
    )
    save_record(output, Record(validation=validation, training=training, provenance=provenance))
    save_calibration(output, joined_calibration([run.calibration for run in runs if run.calibration is not None]))
    write_card(Run(output))
    # Last: where it is, all is there.
    write_text(output / PRODUCTS_FILE, json.dumps({"products": list(names)}, indent=1))


def joined_calibration(calibrations: Sequence[Calibration]) -> Calibration:
    """What the threshold of several products' inspectors together rests on: each one's own, as levels.

    What the good images are called, and which stand out, each one's own says.
    """
    good = sorted(level(score, one.score) for one in calibrations for score in one.good_scores)
    defects = sorted(level(score, one.score) for one in calibrations for score in one.defect_scores)
    return Calibration(
        score=0.5,
        pixel=0.5,
        asked=max(one.asked for one in calibrations),
        promised=max(one.promised for one in calibrations),
        confident=max(one.confident for one in calibrations),
        good_scores=tuple(good),
        defects_found=share_above(defects, 0.5),
        source=f"good images of {len(calibrations)} products, each product by a threshold of its own",
        date=timestamp(),
        defect_scores=tuple(defects),
    )
