"""Overrides by path and by file: what is taken, and what is refused by name."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from realnet.config import Config, TrainingConfig
from realnet.errors import UserError
from realnet.overriding import override
from realnet.presets import presets

PAPER = presets["paper"]


def field(config: Config, path: str) -> Any:
    value: Any = config
    for part in path.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("model.rrs.retention=0.25", 0.25),
        ("model.rrs.mode=max", "max"),
        ("model.rrs.mode=max&mean", "max&mean"),
        ("model.rrs.mode=off", "off"),
        ("model.rrs.mode='off'", "off"),
        ("model.afs.dimensions=[1, 2, 3, 4]", (1, 2, 3, 4)),
        ("model.afs.method=none", "none"),
        ("model.reconstruction.architecture=C", "C"),
        ("model.backbone.standardise=yes", True),
        ("model.backbone.weights=some/file.pth", Path("some/file.pth")),
        ("model.backbone.weights=null", None),
        ("model.discriminator.width=8", 8),
        ("model.image_size=512", 512),
        ("training.learning_rate=1e-3", 1e-3),
        ("training.steps=200", 200),
        ("training.steps=~", None),
        ("synthesis.opacity=[0.3, 0.6]", (0.3, 0.6)),
        ("synthesis.foreground=none", "none"),
        ("synthesis.mixture.dtd=0", 0),
        (" seed =7", 7),
    ],
)
def test_one_field_is_replaced_and_the_rest_left(assignment: str, value: object) -> None:
    changed = override(PAPER, [assignment])
    path = assignment.partition("=")[0].strip()
    assert field(changed, path) == value
    assert type(field(changed, path)) is type(value) or isinstance(value, int | Path)
    tree, before = changed.model_dump(), PAPER.model_dump()
    *parents, last = path.split(".")
    for part in parents:
        assert {k for k in tree if tree[k] != before[k]} <= {part}
        tree, before = tree[part], before[part]
    assert {k for k in tree if tree[k] != before[k]} <= {last}


def test_nothing_to_override() -> None:
    assert override(PAPER, []) == PAPER


def test_later_assignments_win() -> None:
    assert override(PAPER, ["seed=1", "seed=2"]).seed == 2


@settings(max_examples=30, deadline=None)
@given(share=st.floats(-1, 2, allow_nan=False))
def test_the_retention_is_a_share(share: float) -> None:
    if 0 < share <= 1:
        assert override(PAPER, [f"model.rrs.retention={share!r}"]).model.rrs.retention == share
    else:
        with pytest.raises(UserError, match=r"model\.rrs\.retention: "):
            override(PAPER, [f"model.rrs.retention={share!r}"])


@pytest.mark.parametrize(
    ("assignment", "what"),
    [
        ("model.rrs.retentoin=0.5", r"no field model\.rrs\.retentoin; model\.rrs\. ?level has: mode, retention"),
        ("modle.rrs.retention=0.5", "no field modle; the top level has: preset, seed, data, model"),
        ("model.rrs.retention.more=1", r"model\.rrs\.retention: Input should be a valid number"),
        ("model.rrs=off", r"model\.rrs is a group of fields \(mode, retention"),
        ("model=", r"model is a group of fields"),
        ("model.rrs.retention=plenty", r"model\.rrs\.retention: Input should be a valid number"),
        ("model.rrs.retention=", r"model\.rrs\.retention: Input should be a valid number"),
        ("model.rrs.retention=.nan", r"model\.rrs\.retention: "),
        ("model.rrs.mode=median", r"model\.rrs\.mode: Input should be 'max', 'mean', 'max&mean' or 'off'"),
        ("model.rrs.mode=true", r"model\.rrs\.mode: "),
        ("model.image_size=250", r"model\.image_size: Input should be a multiple of 32"),
        ("model.image_size=0", r"model\.image_size: "),
        ("model.image_size=3200000000", r"model\.image_size: Input should be less than or equal to 8192"),
        (
            "model.reconstruction.residual_blocks=1000000000",
            r"residual_blocks: Input should be less than ",
        ),
        ("model.reconstruction.multipliers=[1,1,1,1,1,1,1,1,1]", r"multipliers: Tuple should have at most 8 items"),
        (
            "model.discriminator.residual_layers=1000000000",
            r"residual_layers: Input should be less than ",
        ),
        ("model.afs.dimensions=[1000000000]", r"dimensions\.0: Input should be less than or equal to 16384"),
        ("model.discriminator.widths=[1000000000,1,1,1]", r"widths\.0: Input should be less than or equal to 16384"),
        ("model.image_score=mean", r"model\.image_score: "),
        ("model.backbone.taps=[]", r"model\.backbone\.taps: "),
        ("model.backbone.taps=[1, two, 3, 4]", r"model\.backbone\.taps\.1: Input should be a valid integer"),
        ("model.afs.dimensions=[1, 0, 1, 1]", r"model\.afs\.dimensions\.1: "),
        ("model.afs.batches=1.5", r"model\.afs\.batches: Input should be a valid integer"),
        ("model.reconstruction.multipliers=[]", r"model\.reconstruction\.multipliers: "),
        ("model.discriminator.widths=[1, 2]", r"model\.discriminator\.widths"),
        ("model.discriminator.widths=[8, 8, 0, 8]", r"model\.discriminator\.widths\.2: "),
        ("model.discriminator.kind=evidence", r"choose kind=paper"),
        ("training.steps=0", r"learns nothing"),
        (
            "training.select=validation",
            r"validation_share=0 holds none out: set a share such as 0\.1, or training\.select=last",
        ),
        ("model.afs.align=both", r"model\.afs\.align: Input should be 'mask' or 'features'"),
        ("synthesis.mixture.least_change=-1", r"synthesis\.mixture\.least_change: "),
        ("training.tolerance.shift=0.1", r"needs model\.reconstruction\.network=subspace"),
        ("training.tolerance.rotation=50", r"training\.tolerance\.rotation: "),
        ("synthesis.source=gan", r"synthesis\.source: Input should be 'dtd', 'nsa', 'cutpaste', 'sia' or 'mix'"),
        ("synthesis.opacity=[0.2, 1.5]", r"synthesis\.opacity\.1: "),
        ("synthesis.mixture.nsa=-1", r"synthesis\.mixture\.nsa: "),
        ("training.batch_size=7", r"training\.batch_size: Input should be a multiple of 2"),
        ("training.learning_rate=.inf", r"training\.learning_rate: Input should be a finite number"),
        ("training.learning_rate=0", r"training\.learning_rate: "),
        ("training.anomaly_window=4", r"training\.anomaly_window=4 is smaller than half a batch \(8\)"),
        ("seed=-1", "seed: "),
        ("seed=[1", "--set seed: .* is no YAML value"),
        ("seed", r"--set takes FIELD=VALUE, such as model\.rrs\.retention=0\.25, not 'seed'"),
        ("=3", "--set takes FIELD=VALUE"),
        ("", "--set takes FIELD=VALUE"),
        ("model..rrs=1", r"no field model\."),
        (".seed=1", "no field "),
    ],
)
def test_what_is_wrong_is_named(assignment: str, what: str) -> None:
    with pytest.raises(UserError, match=what) as refused:
        override(PAPER, [assignment])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("assignment", ["model.backbone.taps=[1, 2, 3]", "model.afs.dimensions=[8, 8, 8, 8, 8]"])
def test_one_dimension_a_tap(assignment: str) -> None:
    with pytest.raises(UserError, match=r"model\.afs\.dimensions names \d widths for \d model\.backbone\.taps"):
        override(PAPER, [assignment])
    both = override(PAPER, ["model.backbone.taps=[1, 2, 3]", "model.afs.dimensions=[8, 8, 8]"])
    assert len(both.model.backbone.taps) == 3
    free = override(PAPER, ["model.backbone.taps=[1, 2, 3]", "model.afs.method=none"])
    assert free.model.afs.method == "none", "which takes what there is"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "my.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_then_assignments(tmp_path: Path) -> None:
    file = write(tmp_path, "seed: 3\nmodel:\n  rrs:\n    mode: off\n    retention: 0.5\n")
    config = override(PAPER, ["model.rrs.retention=0.75"], file)
    assert (config.seed, config.model.rrs.mode, config.model.rrs.retention) == (3, "off", 0.75)
    assert config.model.backbone == PAPER.model.backbone
    assert config.model.rrs.momentum == PAPER.model.rrs.momentum


@pytest.mark.parametrize("name", presets)
def test_a_saved_configuration_is_such_a_file(tmp_path: Path, name: str) -> None:
    config = override(presets[name], ["seed=9", "model.rrs.mode=off", "synthesis.directory=textures"])
    file = write(tmp_path, yaml.safe_dump(config.model_dump(mode="json")))
    assert override(presets["multiclass"], [], file) == config


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("model: {rrs: {retentoin: 1}}", r"no field model\.rrs\.retentoin"),
        ("model: {rrs: 3}", r"model\.rrs is a group of fields"),
        ("model:", "model is a group of fields"),
        ("model: {rrs: {retention: plenty}}", r"model\.rrs\.retention: Input should be a valid number"),
        ("1: 2", "no field 1"),
        ("", "holds no table of fields"),
        ("[1, 2]", "holds no table of fields"),
        ("a: [", "cannot be read as a YAML configuration"),
        (b"\xff\xfe\xfa", "cannot be read as a YAML configuration"),
        ("seed: !!python/object/apply:os.getpid []", "cannot be read as a YAML configuration"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str | bytes, what: str) -> None:
    with pytest.raises(UserError, match=what) as refused:
        override(PAPER, [], write(tmp_path, content))
    assert "\n" not in str(refused.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.yaml cannot be read"):
        override(PAPER, [], tmp_path / "nothing.yaml")


def test_a_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PAPER.seed = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Config(sead=3)  # type: ignore[call-arg]


def test_half_a_batch_of_defects_a_step_unless_told_otherwise() -> None:
    assert (TrainingConfig().fresh, TrainingConfig().window) == (8, 8)
    told = TrainingConfig(fresh_anomalies=2, anomaly_window=64)
    assert (told.fresh, told.window) == (2, 64)
    assert TrainingConfig(fresh_anomalies=20).window == 20
