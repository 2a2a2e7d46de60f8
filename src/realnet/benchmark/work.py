"""One job done in a process of its own: ``python -m realnet.benchmark.work FOLDER``.

A process of its own, so that a job that runs out of memory, or is killed, takes no other with it, and so that its
memory can be measured. It ends as soon as its standard input does.
"""

import os
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path

from realnet.acceleration import allow_tf32
from realnet.atomic import write_text
from realnet.benchmark import jobs
from realnet.benchmark.footprint import benchmark_device, measure_run, peak_memory
from realnet.benchmark.origin import origin_of
from realnet.benchmark.products import renamed
from realnet.data import Category, GoodImages, check_dataset, list_images, open_dataset
from realnet.errors import UserError
from realnet.evaluation.evaluate import evaluate_run, record
from realnet.progress import Watcher
from realnet.provenance import hardware
from realnet.run_folder import Run
from realnet.synthesis import write_pairs
from realnet.tested import Trial
from realnet.training.checkpoint import Progress
from realnet.training.launch import Launch
from realnet.training.many_products import train_products
from realnet.training.prepare import synthesizer_of

RUN_FOLDER, MODEL_FOLDER, IMAGES_FOLDER = "run", "model", "SIA"


def main(folder: Path) -> int:
    """Do the job in ``folder``; 0 when it is done, 2 when it cannot be, with the reason beside it."""
    try:
        outcome = work(folder, jobs.read_job(folder))
        write_text(folder / jobs.OUTCOME_FILE, outcome.to_json())
        (folder / jobs.FAILURE_FILE).unlink(missing_ok=True)
    except UserError as error:
        write_text(folder / jobs.FAILURE_FILE, str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # Whatever a job dies of, the others go on; its log has the rest.
        traceback.print_exc()
        first = (str(error) or repr(error)).splitlines()[0]
        write_text(folder / jobs.FAILURE_FILE, f"{type(error).__name__}: {first}")
        return 1
    return 0


def end_with_parent() -> None:
    """End this process when its standard input ends: the laboratory is gone, and another one may do this job anew."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


def work(folder: Path, job: jobs.Job) -> jobs.Outcome:
    """Do ``job`` in ``folder``, continuing what was begun; UserError where it cannot be done."""
    allow_tf32(benchmark_device())
    categories = [renamed(open_dataset(place.root, place.category)[0], place.name) for place in job.places]
    if isinstance(job, jobs.InspectorJob):
        return _inspector(folder, job, categories)
    if isinstance(job, jobs.PeerJob):
        return _peer(job, categories)
    if isinstance(job, jobs.DiffusionJob):
        return _diffusion(folder, job, categories)
    if isinstance(job, jobs.SamplesJob):
        return _samples(folder, job, categories[0])
    return _quality(folder, job, categories[0])


def _inspector(folder: Path, job: jobs.InspectorJob, categories: Sequence[Category]) -> jobs.Outcome:
    check_dataset(categories, need_test=True)
    run = folder / RUN_FOLDER
    launch = Launch(benchmark_device(), time_budget=job.time_budget, resume=True)
    seconds = train_products(categories, job.config, run, launch, _Lines()).progress.seconds
    peak = _peak_memory()
    # Under the name of the data set, as `realnet evaluate` calls it.
    name = " + ".join(dict.fromkeys(Path(place.root).name for place in job.places))
    evaluation = evaluate_run(Trial(Run(run), name, categories), device=benchmark_device())
    record(run, evaluation.results)
    measured = {**measure_run(run), "fit_seconds": round(seconds, 1), **peak}
    origin = origin_of(job.config.synthesis, job.places[0].category)
    return jobs.Outcome(results=evaluation.results, measured=measured, origin=origin, hardware=hardware())


def _peer(job: jobs.PeerJob, categories: Sequence[Category]) -> jobs.Outcome:
    from realnet.benchmark.peer_job import judge_peer

    check_dataset(categories, need_test=True)
    outcome = judge_peer(job, categories)
    return outcome.model_copy(update={"measured": {**outcome.measured, **_peak_memory()}, "hardware": hardware()})


def _peak_memory() -> dict[str, float]:
    memory = peak_memory()
    return {} if memory is None else {"peak_memory_gigabytes": memory / 2**30}


def _diffusion(folder: Path, job: jobs.DiffusionJob, categories: Sequence[Category]) -> jobs.Outcome:
    from realnet.diffusion import training_run

    check_dataset(categories, need_test=False)
    launch = Launch(benchmark_device(), time_budget=job.time_budget, resume=True)
    progress = training_run.train_diffusion(categories, job.config, folder / MODEL_FOLDER, launch, job.init, _Lines())
    return jobs.Outcome(measured={"fit_seconds": round(progress.seconds, 1)}, hardware=hardware())


def _samples(folder: Path, job: jobs.SamplesJob, category: Category) -> jobs.Outcome:
    from realnet.diffusion.generating import Request, sample_set
    from realnet.diffusion.model_folder import load_diffusion

    model = load_diffusion(job.model, benchmark_device())
    request = Request(job.low, job.high, model.config.training.sampling_steps, job.seed)
    sample_set(
        model, job.places[0].category, request, job.count, folder / IMAGES_FOLDER,
        lambda done: print(f"image {done} of {job.count}", flush=True),
    )  # fmt: skip
    return jobs.Outcome(hardware=hardware())


def _quality(folder: Path, job: jobs.QualityJob, category: Category) -> jobs.Outcome:
    from realnet.diffusion.quality import measure_quality

    check_dataset([category], need_test=True)
    synthesizer, _ = synthesizer_of([category], job.config)
    pairs = folder / "pairs"
    write_pairs(synthesizer, list(synthesizer.names or []), job.count, pairs)
    real = [sample.image for sample in category.test if sample.is_anomalous]
    good = [sample.image for sample in category.train]
    # Those that all good images were found to have when the defects were made of them.
    levels = synthesizer.images.levels if isinstance(synthesizer.images, GoodImages) else None
    quality = measure_quality(
        list_images([pairs / "test"]), real, good, size=job.config.model.image_size, repeats=1, seed=job.config.seed,
        inception=job.inception, alexnet=job.alexnet, progress=lambda text: print(text, flush=True),
        device=benchmark_device(), levels=levels,
    )  # fmt: skip
    measured = {figure.name: figure.value for figure in quality.figures if figure.value is not None}
    write_text(folder / "quality.json", quality.to_json())
    notes = (f"{quality.synthetic} synthetic against {quality.real} real defective images.", *quality.notes)
    origin = origin_of(job.config.synthesis, job.places[0].category)
    return jobs.Outcome(measured=measured, notes=notes, origin=origin, hardware=hardware())


class _Lines(Watcher):
    """Watches training by printing a line now and then; the parent shows the last one."""

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)

    def stage(self, text: str, done: int = 0, total: int = 0) -> None:
        if done == 0:
            print(text, flush=True)

    def step(self, progress: Progress, steps: int) -> None:
        if progress.step % 20 == 0 or progress.step == steps:
            print(f"step {progress.step} of {steps}", flush=True)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.exit(main(Path(sys.argv[1])))
