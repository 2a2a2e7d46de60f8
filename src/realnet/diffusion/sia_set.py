"""The SIA data set (Sec. 3.4): models and generated images of every category of several data sets, resumably."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from realnet.data import Category, check_dataset, open_dataset
from realnet.data.opening import dataset_folders
from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.generating import Maker, Request, sample_set
from realnet.diffusion.model_folder import DiffusionModel, load_diffusion
from realnet.diffusion.training_run import train_diffusion
from realnet.errors import UserError
from realnet.progress import Watcher
from realnet.training.launch import Launch

MODELS_FOLDER = "models"
# Makes the images of a model elsewhere.
MakerOf = Callable[[DiffusionModel, Request], Maker]


@dataclass(frozen=True)
class Part:
    """What one model is trained on: categories of the data set called ``dataset``."""

    dataset: str
    name: str
    categories: tuple[Category, ...]


def plan_parts(roots: Sequence[str], config: DiffusionConfig) -> list[Part]:
    """The models that ``roots`` (data sets, or folders of such) need; UserError where a root is no data set.

    As in the paper one model a data set, conditioned on its categories; of a network that starts from good images
    (``process.start`` below 1) one a category.
    """
    parts: list[Part] = []
    for root in roots:
        for place in dataset_folders(root):
            categories = open_dataset(place)
            check_dataset(categories, need_test=False)
            dataset = Path(place).name
            if config.process.start >= 1:
                parts.append(Part(dataset, dataset, tuple(categories)))
            else:
                parts += [Part(dataset, f"{dataset}-{c.name}", (c,)) for c in categories]
    names = [part.name for part in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"Two data sets are called {twice}; rename the folder of one.")
    return parts


def build(
    parts: Sequence[Part],
    config: DiffusionConfig,
    request: Request,
    count: int,
    output: Path,
    launch: Launch,
    init: Path | None = None,
    device: str = "cpu",
    watcher: Watcher | None = None,
    maker_of: MakerOf | None = None,
) -> int:
    """Train the model of every part and write ``count`` images of each of its categories; the number of images.

    Models go to ``output/models/NAME``, images to ``output/DATASET/CATEGORY``, where `realnet train --source output`
    finds them. What is done is not done again, what was begun is continued. The time budget of ``launch`` is each
    training's; ``maker_of`` makes images elsewhere than on ``device``; UserError as training and sampling.
    """
    told, made = watcher or Watcher(), 0
    for number, part in enumerate(parts, start=1):
        images = sum(len(category.train) for category in part.categories)
        told.say(f"Model {number} of {len(parts)}: {part.name}, {images} good images")
        folder = output / MODELS_FOLDER / part.name
        train_diffusion(part.categories, config, folder, launch, init, told)
        model = load_diffusion(folder, device, guided=request.guidance > 0)
        maker = None if maker_of is None else maker_of(model, request)
        for category in part.categories:
            progress = partial(told.stage, category.name, total=count)
            sample_set(model, category.name, request, count, output / part.dataset, progress, maker)
            made += count
    return made
