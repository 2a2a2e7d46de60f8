"""From a plan and what there is to the jobs that have to be run."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realnet.benchmark.jobs import (
    DiffusionJob,
    InspectorJob,
    Job,
    PeerJob,
    ProductLocation,
    QualityJob,
    SamplesJob,
    place_of,
)
from realnet.benchmark.origin import read_mark
from realnet.benchmark.peers.known_peers import PEERS
from realnet.benchmark.plan import QUALITY, REALNET, REPORTED, Plan, Row
from realnet.benchmark.products import DataFolder, Product
from realnet.config import Config
from realnet.data import fingerprint
from realnet.diffusion.diffusion_presets import diffusion_presets
from realnet.diffusion.model_folder import WEIGHTS_FILE, load_diffusion_config, read_categories
from realnet.errors import UserError
from realnet.files import file_sha256, text_sha256
from realnet.overriding import override
from realnet.presets import preset_called, presets
from realnet.synthesis.sia import MARK


@dataclass(frozen=True)
class Settings:
    """What is asked of a plan, beside the data.

    Attributes:
        preset: of RealNet; ``assignments`` change fields of it in every row.
        seeds: each of them a repetition.
        synthesis: of the rows that name none; None: the plan's.
        time_budget: seconds that each training may take, RealNet's and the peers' alike.
        diffusion_preset, diffusion_budget: how the model is trained that generates images where none are at hand, a
            model a seed; None: ``lite`` for RealNet's ``lite``, and none is trained for the other presets.
        init: the checkpoint that training begins with (``paper`` only).
        generated: how many images it generates; ``quality_images`` how many are compared with real ones.
        models: trained diffusion models to take instead, each for the categories it knows.
        inception, alexnet: weights that the quality of images is measured with.
    """

    preset: str = "lite"
    assignments: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    synthesis: str | None = None
    time_budget: float | None = None
    diffusion_preset: str | None = None
    diffusion_budget: float | None = None
    generated: int = 300
    quality_images: int = 1000
    models: tuple[Path, ...] = ()
    init: Path | None = None
    inception: Path | None = None
    alexnet: Path | None = None

    def remarks(self) -> tuple[str, ...]:
        """What a reader of the table must know of them, in sentences."""
        said = []
        if self.assignments:
            said.append(f"Changed in every row of RealNet: {', '.join(self.assignments)}.")
        if self.time_budget is not None:
            said.append(f"Each training had at most {self.time_budget:g} s.")
        if self.diffusion_budget is not None:
            said.append(f"Each diffusion model trained for this had at most {self.diffusion_budget:g} s.")
        if self.init is not None:
            said.append(f"Diffusion models trained for this began with {self.init.name}.")
        return tuple(said)


@dataclass(frozen=True)
class Entry:
    """A place in the table: a row, a product (or all of them) and a seed.

    ``job`` does it, after the jobs of ``before``; None with ``missing``, a sentence, where it cannot be done.
    """

    row: Row
    product: str
    seed: int
    job: Job | None
    before: tuple[Job, ...] = ()
    missing: str = ""


class _Missing(Exception):
    """An entry lacks something; the message says what."""


def expand(plan: Plan, data_folder: DataFolder, settings: Settings, folder: Path) -> Iterator[Entry]:
    """The entries of ``plan``, product by product, jobs in ``folder``; UserError for an unknown preset or field."""
    maker = _Maker(plan, data_folder, settings, folder)
    apart = [row for row in plan.rows if row.method != REPORTED and not row.together]
    together = [row for row in plan.rows if row.method != REPORTED and row.together]
    for product in data_folder.products:
        for row in apart:
            yield from maker.entries(row, product.name, [product])
    for row in together:
        yield from maker.entries(row, "all", data_folder.products)


class _Maker:
    """Makes jobs; reads each product's images once."""

    def __init__(self, plan: Plan, data_folder: DataFolder, settings: Settings, folder: Path) -> None:
        self.plan, self.data_folder, self.settings, self.folder = plan, data_folder, settings, folder
        self.fingerprints: dict[Any, str] = {}

    def entries(self, row: Row, name: str, products: Sequence[Product]) -> Iterator[Entry]:
        if row.only_with is not None and row.only_with not in {self._generator(row, product) for product in products}:
            return
        for seed in self.settings.seeds:
            before: list[Job] = []
            try:
                job = self._job(row, name, products, seed, before)
            except _Missing as missing:
                yield Entry(row, name, seed, None, missing=str(missing))
            else:
                yield Entry(row, name, seed, job, tuple(before))

    def _job(self, row: Row, name: str, products: Sequence[Product], seed: int, before: list[Job]) -> Job:
        common = {"name": f"{name}-{row.name}-seed{seed}", **self._images(products)}
        if row.method not in (REALNET, QUALITY):
            return self._peer(row, seed, common)
        config, made_of = self._config(row, products, seed, before)
        if row.method == QUALITY:
            weights = (self.settings.inception, self.settings.alexnet)
            made_of += tuple(self._digest(path) for path in weights if path is not None)
            return QualityJob(
                **common, made_of=made_of, config=config, count=self.settings.quality_images, inception=weights[0],
                alexnet=weights[1],
            )  # fmt: skip
        return InspectorJob(**common, made_of=made_of, config=config, time_budget=self.settings.time_budget)

    def _config(
        self, row: Row, products: Sequence[Product], seed: int, before: list[Job]
    ) -> tuple[Config, tuple[str, ...]]:
        """The configuration of a row, and what its defects are made of."""
        config = preset_called(self._preset(row))
        assignments = [f"{field}={json.dumps(value)}" for field, value in row.set.items()]
        if row.dimensions is not None:
            dimensions = [max(1, round(m * row.dimensions)) for m in config.model.afs.dimensions]
            assignments.append(f"model.afs.dimensions={dimensions}")
        synthesis = row.synthesis or self.settings.synthesis or self.plan.synthesis
        assignments += [f"synthesis.source={synthesis}", f"seed={seed}"]
        config = override(config, [*self.settings.assignments, *assignments])
        textures = config.synthesis.directory
        if textures is not None and synthesis in ("dtd", "mix"):  # the row or --set names them
            if not textures.is_dir():
                raise UserError(f"{textures}, the synthesis.directory of {row.name}, is not a folder of textures.")
            return config, (self._digest(textures),)
        directory, made_of = self._source(synthesis, row, products, seed, before)
        if directory is not None:
            part = config.synthesis.model_copy(update={"directory": directory})
            config = config.model_copy(update={"synthesis": part})
        return config, made_of

    def _source(
        self, synthesis: str, row: Row, products: Sequence[Product], seed: int, before: list[Job]
    ) -> tuple[Path | None, tuple[str, ...]]:
        if synthesis == "dtd":
            if self.data_folder.textures is None:
                raise _Missing("needs textures: give the images of DTD with --textures, or put them into DATA/dtd.")
            return self.data_folder.textures, (self._digest(self.data_folder.textures),)
        if synthesis != "sia":
            return None, ()
        if len(products) > 1:
            raise _Missing("generated images belong to one product: use another --synthesis for several together.")
        return self._generated(products[0], row, seed, before)

    def _generated(self, product: Product, row: Row, seed: int, before: list[Job]) -> tuple[Path, tuple[str, ...]]:
        """Generated images of the product: those at hand, or the jobs that make them, others for each seed."""
        ready, strength = self.data_folder.generated, row.strength
        own = None if ready is None else ready / product.own_name
        if ready is not None and own is not None and own.is_dir() and strength in (None, _strength_of(own)):
            return ready, (self._digest(own),)
        model, usual, made_of = self._diffusion(product, row, seed, before)
        low, high = strength or usual
        samples = SamplesJob(
            name=f"{product.name}-sia-{low:g}-{high:g}-seed{seed}", **self._images([product]), made_of=made_of,
            model=model, low=low, high=high, count=self.settings.generated, seed=seed,
        )  # fmt: skip
        before.append(samples)
        return place_of(self.folder, samples) / "SIA", (samples.key,)

    def _model(self, product: Product) -> Path | None:
        """The trained diffusion model at hand that knows the product."""
        return next((model for model in self.settings.models if product.own_name in read_categories(model)), None)

    def _generator(self, row: Row, product: Product) -> str | None:
        """The preset of sdas that makes the product's images; None where nobody has said so."""
        model = self._model(product)
        if model is not None:
            return load_diffusion_config(model).preset
        return self.settings.diffusion_preset or ("lite" if self._preset(row) == "lite" else None)

    def _preset(self, row: Row) -> str:
        return row.preset or self.settings.preset

    def _diffusion(
        self, product: Product, row: Row, seed: int, before: list[Job]
    ) -> tuple[Path, tuple[float, float], tuple[str, ...]]:
        """A diffusion model of the product, the strength it is sampled with otherwise, and what it is made of."""
        model = self._model(product)
        if model is not None:
            usual = load_diffusion_config(model).process.strength
            return model, usual, (self._digest(model / WEIGHTS_FILE),)
        preset = self._generator(row, product)
        if preset is None:
            raise _Missing(
                f"needs generated images, which preset {self._preset(row)} takes no small model for: "
                "give them with --sia, a trained model with --diffusion, or say how one is trained with "
                "--diffusion-preset (paper and gpu work at 256 pixels, cpu at 128, lite at 64)."
            )
        if preset not in diffusion_presets:
            raise UserError(f"There is no preset {preset!r} of sdas; choose one of {', '.join(diffusion_presets)}.")
        if self.settings.init is not None and preset != "paper":
            raise UserError(f"--init is for --diffusion-preset paper, whose network it holds, not {preset}.")
        config = diffusion_presets[preset].model_copy(update={"seed": seed})
        taught = [product]
        if config.process.start >= 1:
            # As in the paper: one model a data set, conditioned on the category.
            taught = [other for other in self.data_folder.products if other.root == product.root]
        job = DiffusionJob(
            name=f"{product.name if len(taught) == 1 else Path(product.root).name}-sdas-seed{seed}",
            **self._images(taught),
            made_of=() if self.settings.init is None else (self._digest(self.settings.init),),
            config=config,
            time_budget=self.settings.diffusion_budget,
            init=self.settings.init,
        )
        before.append(job)
        return place_of(self.folder, job) / "model", config.process.strength, (job.key,)

    def _peer(self, row: Row, seed: int, common: dict[str, Any]) -> PeerJob:
        if row.method not in PEERS:
            raise UserError(
                f"{row.name}: there is no method {row.method!r}; use {REALNET}, {QUALITY}, {REPORTED}, or a peer: "
                f"{', '.join(PEERS)}."
            )
        # The same resolution and, for the methods that can run on it, the same backbone as RealNet.
        model = override(presets[self._preset(row)], list(self.settings.assignments)).model
        peer = {
            "name": row.method,
            "image_size": model.image_size,
            "seed": seed,
            "backbone": model.backbone.model_dump(mode="json"),
            "time_budget": self.settings.time_budget,
            "options": row.set,
        }
        textures = self.data_folder.textures if PEERS[row.method].textures_option else None
        made_of = () if textures is None else (self._digest(textures),)
        return PeerJob(**common, made_of=made_of, peer=peer, textures=textures)

    def _images(self, products: Sequence[Product]) -> dict[str, Any]:
        """The fields of a job that say what images it is about."""
        key = tuple((product.root, product.name) for product in products)
        if key not in self.fingerprints:
            samples = [s for product in products for s in (*product.category.train, *product.category.test)]
            self.fingerprints[key] = fingerprint(samples)
        places = tuple(ProductLocation(root=p.root, category=p.own_name, name=p.name) for p in products)
        return {"places": places, "data": self.fingerprints[key]}

    def _digest(self, path: Path) -> str:
        if path not in self.fingerprints:
            self.fingerprints[path] = _digest_of_folder(path) if path.is_dir() else file_sha256(path)[:12]
        return self.fingerprints[path]


def _strength_of(images: Path) -> tuple[float, float] | None:
    """The strength that a set of `sdas sample` was asked for; None where that is not known."""
    try:
        mark = read_mark(images)
        return float(mark["low"]), float(mark["high"])
    except (ValueError, KeyError, TypeError):
        return None


def _digest_of_folder(folder: Path) -> str:
    """Of what lies in ``folder``: the mark of a generated set, otherwise names and sizes of its files."""
    if (folder / MARK).is_file():
        return file_sha256(folder / MARK)[:12]
    lines = sorted(f"{path.relative_to(folder)} {path.stat().st_size}" for path in folder.rglob("*") if path.is_file())
    return text_sha256("\n".join(lines))[:12]
