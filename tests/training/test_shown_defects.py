"""The sheet of what an inspector was trained on shows those very defects, and the report no others."""

from pathlib import Path

import numpy as np
import pytest

from realnet.config import SynthesisConfig
from realnet.data import open_dataset
from realnet.errors import UserError
from realnet.run_folder import Run
from realnet.synthesis import Synthesizer
from realnet.synthesis.shown_defects import DEFECTS_FILE, read_defects
from realnet.training.batches import AnomalySamples, drawn_numbers
from realnet.training.prepare import first_defects, training_defects
from tests.data.layouts import make_mvtec, picture
from tests.training.tiny import TRAINED, run, tiny


@pytest.mark.parametrize(("fresh", "window"), [(2, 8), (4, 4)])
def test_what_is_shown_was_drawn_by_the_first_steps(fresh: int, window: int) -> None:
    config = tiny(
        *TRAINED,
        "training.batch_size=8",
        f"training.fresh_anomalies={fresh}",
        f"training.anomaly_window={window}",
        "synthesis.source=cutpaste",
        seed=3,
    )
    rng = np.random.default_rng(0)
    goods = [picture(rng)[0] for _ in range(5)]
    synthesizer = Synthesizer(goods, SynthesisConfig(source="cutpaste"), 3)
    shown = first_defects(synthesizer, config, 6)
    # As the loader makes them, by number.
    loaded = AnomalySamples(synthesizer, len(goods), 3, 100)
    numbers = [n for step in range(3) for n in drawn_numbers(3, step, fresh, window, 4)]
    for (good, defect), number in zip(shown, dict.fromkeys(numbers), strict=False):
        image, mask, of = loaded[number]
        assert np.array_equal(image.numpy(), defect.image) and np.array_equal(mask[0].numpy().astype(bool), defect.mask)
        assert np.array_equal(good, goods[of])


def test_defects_are_made_again_of_the_same_images_only(tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", ("bolt", "nut"))
    config = tiny("training.steps=2", "synthesis.source=cutpaste")
    run(data, tmp_path / "run", config, category="bolt")
    kept = read_defects(tmp_path / "run")
    again = training_defects(Run(tmp_path / "run"), open_dataset(data, "bolt"), 3)
    assert (len(kept), len(again)) == (12, 3)
    for (good, defect), (first, known) in zip(again, kept, strict=False):
        assert np.array_equal(good, first) and (defect.kind, defect.opacity) == (known.kind, known.opacity)
        for name in ("image", "mask", "source"):
            assert np.array_equal(getattr(defect, name), getattr(known, name)), name
    (tmp_path / "run" / DEFECTS_FILE).write_bytes(b"PK")
    with pytest.raises(UserError, match="is damaged"):
        read_defects(tmp_path / "run")
    assert training_defects(Run(tmp_path / "run"), open_dataset(data, "nut"), 3) == []
