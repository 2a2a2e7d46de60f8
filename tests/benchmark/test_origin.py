"""Where defects come from, as a reader of a table is told."""

from pathlib import Path

import numpy as np
import pytest

from realnet.atomic import write_text
from realnet.benchmark.benchmark_tables import make_table
from realnet.benchmark.jobs import Outcome
from realnet.benchmark.origin import origin_of, tell
from realnet.benchmark.plan import parse_plan
from realnet.config import SynthesisConfig
from realnet.diffusion.generating import Request, sample_set
from tests.benchmark.test_tables import finished
from tests.data.layouts import make_good
from tests.diffusion.tiny import plain, untrained


def test_generated_images_name_their_generator(tmp_path: Path) -> None:
    model = untrained(plain())
    sample_set(model, "widget", Request(0.1, 0.2, steps=2, seed=5, batch=2), 3, tmp_path / "SIA")
    facts = origin_of(SynthesisConfig(source="sia", directory=tmp_path / "SIA", foreground="none"), "Widget")
    assert facts == {
        "source": "sia",
        "generator": "lite",
        "strength": "0.1 to 0.2",
        "images": "3",
        "steps": "2 (iddpm)",
        "generator seed": "5",
        "model": "0" * 12,
        "foreground": "none",
    }


def test_images_of_unknown_origin_are_called_so(tmp_path: Path) -> None:
    make_good(tmp_path / "SIA" / "set" / "cap", 2, np.random.default_rng(0))
    facts = origin_of(SynthesisConfig(source="sia", directory=tmp_path / "SIA"), "cap")
    assert facts["generator"] == "unknown: cap has no sia.json" and facts["images"] == "2"
    write_text(tmp_path / "SIA" / "set" / "cap" / "sia.json", "{")
    assert origin_of(SynthesisConfig(source="sia", directory=tmp_path / "SIA"), "cap") == facts


@pytest.mark.parametrize("source", ["nsa", "cutpaste"])
def test_namesakes_say_what_is_different(source: str) -> None:
    facts = origin_of(SynthesisConfig.model_validate({"source": source, "opacity": [0.5, 1]}), "cap")
    assert facts["note"].startswith("unlike its publication: ") and facts["opacity"] == "0.5 to 1"
    assert f"source {source}; opacity 0.5 to 1; foreground auto; unlike its publication" in tell("row", [facts])


def test_a_table_tells_it_once_a_row() -> None:
    plan = parse_plan(
        "p", "title: T\nquestion: Q?\nrows:\n  - {name: A, synthesis: sia}\n  - {name: B, synthesis: sia}\n"
    )

    def done(row: int, product: str, seed: int, **origin: str) -> object:
        return finished(plan, row, product, seed, Outcome(measured={"FID": 1.0}, origin=origin))

    settled = [
        done(0, "cap", 0, source="sia", model="aa"),
        done(0, "cap", 1, source="sia", model="bb"),
        done(1, "cap", 0, source="sia", model="aa"),
        done(1, "cap", 1, source="sia", model="bb"),
    ]
    facts = make_table(plan, settled).facts  # type: ignore[arg-type]
    assert [fact for fact in facts if fact.startswith("Defects")] == ["Defects of A, B: source sia; model aa, bb."]
