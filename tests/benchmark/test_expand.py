from dataclasses import replace
from pathlib import Path

import pytest

from realnet.atomic import write_text
from realnet.benchmark.expand import Entry, Settings, expand
from realnet.benchmark.jobs import (
    OUTCOME_FILE,
    DiffusionJob,
    InspectorJob,
    PeerJob,
    QualityJob,
    SamplesJob,
    read_job,
    write_job,
)
from realnet.benchmark.plan import parse_plan
from realnet.benchmark.products import DataFolder, find_products
from realnet.errors import UserError
from tests.data.layouts import make_good, make_mvtec

HEAD = "title: T\nquestion: Q?\nrows:\n"


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    root = tmp_path_factory.mktemp("expand")
    return find_products([str(make_mvtec(root / "set", categories=("cap", "nut")))])


def entries(rows: str, data_folder: DataFolder, settings: Settings | None = None) -> list[Entry]:
    return list(expand(parse_plan("p", HEAD + rows), data_folder, settings or Settings(), Path("/jobs")))


def test_a_job_a_row_product_and_seed(data_folder: DataFolder) -> None:
    made = entries(
        "  - {name: A, synthesis: nsa}\n  - {name: B, synthesis: mix}\n", data_folder, Settings(seeds=(0, 3))
    )
    assert [(e.product, e.row.name, e.seed) for e in made] == [
        ("cap", "A", 0), ("cap", "A", 3), ("cap", "B", 0), ("cap", "B", 3),
        ("nut", "A", 0), ("nut", "A", 3), ("nut", "B", 0), ("nut", "B", 3),
    ]  # fmt: skip
    jobs = [e.job for e in made if isinstance(e.job, InspectorJob)]
    assert len({job.key for job in jobs}) == len(jobs) == 8
    assert [job.config.seed for job in jobs[:2]] == [0, 3]
    assert jobs[2].config.synthesis.source == "mix"


def test_the_key_is_of_configuration_and_data_and_nothing_else(data_folder: DataFolder, tmp_path: Path) -> None:
    (one, *_) = entries("  - {name: A, synthesis: nsa}\n", data_folder)
    (named, *_) = entries("  - {name: Z, synthesis: nsa}\n", data_folder)
    assert one.job is not None and named.job is not None
    assert one.job.key == named.job.key
    moved = find_products([str(make_mvtec(tmp_path / "elsewhere", categories=("cap", "nut")))])
    (away, *_) = entries("  - {name: A, synthesis: nsa}\n", moved)
    assert away.job is not None and away.job.key == one.job.key
    (other, *_) = entries("  - {name: A, synthesis: nsa, set: {model.rrs.retention: 0.5}}\n", data_folder)
    (budget, *_) = entries("  - {name: A, synthesis: nsa}\n", data_folder, Settings(time_budget=60))
    next((tmp_path / "elsewhere").rglob("test/good/*.png")).unlink()
    (less, *_) = entries("  - {name: A, synthesis: nsa}\n", find_products([str(tmp_path / "elsewhere")]))
    keys = {entry.job.key for entry in (one, other, budget, less) if entry.job is not None}
    assert len(keys) == 4


def test_row_fields_become_configuration(data_folder: DataFolder) -> None:
    rows = '  - {name: A, synthesis: nsa, dimensions: 0.5, set: {model.rrs.mode: "off"}}\n'
    (entry, *_) = entries(rows, data_folder, Settings(assignments=("training.steps=7",)))
    assert isinstance(entry.job, InspectorJob)
    config = entry.job.config
    assert (config.training.steps, config.model.rrs.mode) == (7, "off")
    assert config.model.afs.dimensions == (20, 56, 160)


def test_generated_images_are_made_where_there_are_none(data_folder: DataFolder) -> None:
    rows = "  - {name: A, synthesis: sia}\n  - {name: B, synthesis: sia, strength: [0, 0]}\n"
    first, second = entries(rows, data_folder, Settings(generated=5))[:2]
    for entry in (first, second):
        assert [type(job) for job in entry.before] == [DiffusionJob, SamplesJob]
    assert first.before[0] == second.before[0]
    assert isinstance(first.before[1], SamplesJob) and isinstance(second.before[1], SamplesJob)
    assert (first.before[1].low, first.before[1].high) == (1, 3)  # lite's own
    assert (second.before[1].low, second.before[1].high) == (0, 0)
    assert first.before[1].made_of == (first.before[0].key,)
    assert isinstance(first.job, InspectorJob)
    assert first.job.made_of == (first.before[1].key,)
    assert first.job.config.synthesis.directory == Path("/jobs") / first.before[1].folder / "SIA"


def test_generated_images_lie_where_they_were_made(data_folder: DataFolder, tmp_path: Path) -> None:
    plan = parse_plan("p", HEAD + "  - {name: A, synthesis: sia}\n")
    (entry, *_) = expand(plan, data_folder, Settings(), tmp_path)
    model, samples = entry.before
    (tmp_path / f"by-another-name-{model.key}").mkdir()
    (tmp_path / f"a-third-{samples.key}").mkdir()
    (tmp_path / f"done-{samples.key}").mkdir()
    (tmp_path / f"done-{samples.key}" / OUTCOME_FILE).write_text("{}")
    (entry, *_) = expand(plan, data_folder, Settings(), tmp_path)
    assert isinstance(entry.job, InspectorJob) and isinstance(entry.before[1], SamplesJob)
    assert entry.before[1].model == tmp_path / f"by-another-name-{model.key}" / "model"
    assert entry.job.config.synthesis.directory == tmp_path / f"done-{samples.key}" / "SIA"


def test_generated_images_at_hand_are_taken(data_folder: DataFolder, tmp_path: Path) -> None:
    import numpy as np

    make_good(tmp_path / "SIA" / "cap", 2, np.random.default_rng(0))
    cap, nut = entries("  - {name: A, synthesis: sia}\n", replace(data_folder, generated=tmp_path / "SIA"))
    assert isinstance(cap.job, InspectorJob)
    assert (cap.before, cap.job.config.synthesis.directory) == ((), tmp_path / "SIA")
    assert nut.before != ()


def test_images_of_another_strength_are_made_anew(data_folder: DataFolder, tmp_path: Path) -> None:
    import numpy as np

    make_good(tmp_path / "SIA" / "cap", 2, np.random.default_rng(0))
    (tmp_path / "SIA" / "cap" / "sia.json").write_text('{"low": 0.1, "high": 0.2}')
    rows = "  - {name: A, synthesis: sia, strength: [0.1, 0.2]}\n  - {name: B, synthesis: sia, strength: [1, 3]}\n"
    same, other = entries(rows, replace(data_folder, generated=tmp_path / "SIA"))[:2]
    assert same.before == () and len(other.before) == 2


@pytest.mark.parametrize("source", ["mix", "dtd"])
def test_textures_of_a_row_make_another_job(source: str, data_folder: DataFolder, tmp_path: Path) -> None:
    textures = tmp_path / "own"
    textures.mkdir()
    (textures / "a.png").write_bytes(b"1")
    at_hand = replace(data_folder, textures=textures)
    rows = (
        f"  - {{name: A, synthesis: {source}}}\n"
        f"  - {{name: B, synthesis: {source}, set: {{synthesis.directory: {tmp_path / 'others'}}}}}\n"
    )
    with pytest.raises(UserError, match="others, the synthesis\\.directory of B, is not"):
        entries(rows, at_hand)
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "b.png").write_bytes(b"2")
    one, other = (entry.job for entry in entries(rows, at_hand) if entry.job and entry.job.places[0].name == "cap")
    assert isinstance(one, InspectorJob) and isinstance(other, InspectorJob)
    assert other.config.synthesis.directory == tmp_path / "others"
    assert one.key != other.key


def test_what_is_lacking_is_said(data_folder: DataFolder) -> None:
    (dtd, *_) = entries("  - {name: A, synthesis: dtd}\n", data_folder)
    assert dtd.job is None and "--textures" in dtd.missing
    (together,) = entries("  - {name: A, synthesis: sia, together: true}\n", data_folder)
    assert together.job is None and "one product" in together.missing
    with pytest.raises(UserError, match="no preset 'huge'"):
        entries("  - {name: A, preset: huge}\n", data_folder)
    with pytest.raises(UserError, match=r"no field model\.nose"):
        entries("  - {name: A, set: {model.nose: 1}}\n", data_folder)
    with pytest.raises(UserError, match="A: there is no method 'magic'; use realnet, quality, reported, or a peer: "):
        entries("  - {name: A, method: magic}\n", data_folder)


def test_a_peer_sees_the_same_images_through_the_same_backbone(data_folder: DataFolder) -> None:
    settings = Settings(time_budget=60, assignments=("model.image_size=64",))
    (entry, _) = entries("  - {name: A, method: padim, set: {n_features: 5}}\n", data_folder, settings)
    assert isinstance(entry.job, PeerJob)
    peer = entry.job.peer
    assert (peer["image_size"], peer["time_budget"], peer["options"]) == (64, 60, {"n_features": 5})
    assert peer["backbone"]["name"] == "tf_efficientnet_lite0"


def test_all_products_together(data_folder: DataFolder) -> None:
    (entry,) = entries("  - {name: A, synthesis: nsa, together: true}\n", data_folder)
    assert entry.product == "all" and entry.job is not None
    assert [place.name for place in entry.job.places] == ["cap", "nut"]


def test_rows_of_one_preset_only(data_folder: DataFolder) -> None:
    rows = "  - {name: A, synthesis: nsa}\n  - {name: B, synthesis: sia, only_with: lite}\n"
    assert len(entries(rows, data_folder)) == 4
    assert len(entries(rows, data_folder, Settings(preset="paper"))) == 2
    assert len(entries(rows, data_folder, Settings(preset="paper", diffusion_preset="lite"))) == 4
    assert len(entries(rows, data_folder, Settings(diffusion_preset="gpu"))) == 2


def test_rows_of_the_model_at_hand(data_folder: DataFolder, tmp_path: Path) -> None:
    write_text(tmp_path / "config.yaml", "preset: gpu\n...\n")
    write_text(tmp_path / "model.json", '{"categories": ["cap"]}')
    write_text(tmp_path / "denoiser.safetensors", "weights")
    rows = "  - {name: A, synthesis: sia, only_with: lite}\n  - {name: B, synthesis: sia, only_with: gpu}\n"
    made = entries(rows, data_folder, Settings(models=(tmp_path,)))
    assert [(entry.product, entry.row.name) for entry in made] == [("cap", "B"), ("nut", "A")]


def test_no_small_model_slips_into_the_papers_table(data_folder: DataFolder) -> None:
    (entry, *_) = entries("  - {name: A, synthesis: sia}\n", data_folder, Settings(preset="paper"))
    assert entry.job is None and "--diffusion-preset (paper and gpu work at 256 pixels" in entry.missing
    (entry, *_) = entries("  - {name: A, synthesis: sia, preset: paper-half}\n", data_folder)
    assert entry.job is None and "preset paper-half" in entry.missing


def test_each_seed_has_a_generator_of_its_own(data_folder: DataFolder) -> None:
    first, second = entries("  - {name: A, synthesis: sia}\n", data_folder, Settings(seeds=(0, 4)))[:2]
    for entry, seed in ((first, 0), (second, 4)):
        model, samples = entry.before
        assert isinstance(model, DiffusionJob) and isinstance(samples, SamplesJob)
        assert (model.config.seed, samples.seed) == (seed, seed)
        assert samples.made_of == (model.key,)
    assert first.before[0].key != second.before[0].key


def test_what_a_diffusion_model_begins_with_is_part_of_it(data_folder: DataFolder, tmp_path: Path) -> None:
    rows = "  - {name: A, synthesis: sia}\n"
    keys = set()
    for name, content in (("a.pt", "one"), ("b.pt", "one"), ("c.pt", "two")):
        write_text(tmp_path / name, content)
        settings = Settings(preset="paper", diffusion_preset="paper", init=tmp_path / name)
        (model, _) = entries(rows, data_folder, settings)[0].before
        assert isinstance(model, DiffusionJob) and model.init == tmp_path / name
        keys.add(model.key)
        with pytest.raises(UserError, match="--init is for --diffusion-preset paper"):
            entries(rows, data_folder, replace(settings, diffusion_preset="gpu"))
    assert len(keys) == 2, "the content counts, not the name"


def test_weights_are_part_of_a_quality_job(data_folder: DataFolder, tmp_path: Path) -> None:
    rows = "  - {name: A, method: quality, synthesis: nsa}\n"
    write_text(tmp_path / "inception.pth", "weights")
    (bare, *_) = entries(rows, data_folder)
    (own, *_) = entries(rows, data_folder, Settings(inception=tmp_path / "inception.pth"))
    assert isinstance(bare.job, QualityJob) and isinstance(own.job, QualityJob)
    assert own.job.inception == tmp_path / "inception.pth" and own.job.key != bare.job.key


def test_of_quality_only_the_synthesis_and_seed_matter(data_folder: DataFolder) -> None:
    (one, *_) = entries("  - {name: A, method: quality, synthesis: nsa}\n", data_folder, Settings(quality_images=9))
    more = Settings(quality_images=9, assignments=("training.steps=7",))
    (same, *_) = entries("  - {name: A, method: quality, synthesis: nsa}\n", data_folder, more)
    assert isinstance(one.job, QualityJob) and isinstance(same.job, QualityJob)
    assert (one.job.count, one.job.key) == (9, same.job.key)


def test_jobs_are_kept_as_they_are(data_folder: DataFolder, tmp_path: Path) -> None:
    for entry in entries(
        "  - {name: A, synthesis: sia}\n  - {name: B, method: quality, synthesis: nsa}\n", data_folder
    ):
        for job in (entry.job, *entry.before):
            assert job is not None
            write_job(tmp_path / job.folder, job)
            assert read_job(tmp_path / job.folder) == job
            assert job.folder.startswith(("cap-", "nut-")) and job.folder.endswith(job.key)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "job.json").write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        read_job(broken)
