"""Which strength to choose, by what an inspector says of samples."""

from pathlib import Path

import numpy as np
import pytest

from realnet import load
from realnet.inspection.inspector import Inspector
from realnet.inspection.strength import StrengthResponse, advice, respond
from tests.data.layouts import picture


@pytest.fixture(scope="module")
def inspector(trained: Path) -> Inspector:
    return load(trained)


def pictures(count: int, defect: bool) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [picture(rng, defect=defect)[0] for _ in range(count)]


def test_a_response_is_what_the_inspector_says(inspector: Inspector) -> None:
    columns = [pictures(3, False), pictures(3, True)]
    responses, overlays = respond(inspector, columns, [0.0, 0.4])
    assert [response.strength for response in responses] == [0.0, 0.4]
    for response, column, drawn in zip(responses, columns, overlays, strict=True):
        judged = [inspector.inspect(image) for image in column]
        assert response.mean_score == pytest.approx(np.mean([one.score for one in judged]), abs=1e-5)
        assert [one.shape for one in drawn] == [(64, 64, 3)] * 3
        assert not any(np.array_equal(one, image) for one, image in zip(drawn, column, strict=True))


def test_the_share_found_is_that_above_the_threshold(inspector: Inspector) -> None:
    column = pictures(4, True)
    scores = sorted(inspector.inspect(image).score for image in column)
    for threshold, share in ((-1.0, 1.0), ((scores[0] + scores[1]) / 2, 0.75), (2.0, 0.0)):
        judge = Inspector(inspector.model, inspector.config, threshold, inspector.pixel_threshold)
        (response,), _ = respond(judge, [column], [0.1])
        assert response.share_above == share


def responses(**shares: float) -> list[StrengthResponse]:
    """By strength in hundredths: ``s5=0.2``."""
    return [StrengthResponse(int(name[1:]) / 100, 0.1, share) for name, share in shares.items()]


def test_from_the_first_that_is_found_to_the_first_that_hardly_escapes() -> None:
    said = advice(responses(s0=0.0, s5=0.05, s10=0.1, s20=0.6, s30=0.9, s50=1.0))
    assert "At s = 0.1 10% of the images are found, at s = 0.3 90%: --strength 0.1:0.3" in said
    shuffled = advice(responses(s30=0.9, s0=0.0, s20=0.6, s10=0.1, s50=1.0, s5=0.05))
    assert shuffled == said, "in whatever order"
    assert "--strength 0.2:0.5" in advice(responses(s0=0.2, s10=0.25, s20=0.35, s50=0.5)), "if all escape, the largest"
    assert "--strength 0.1:0.1" in advice(responses(s0=0.0, s10=1.0, s20=1.0))


def test_where_good_images_are_found_the_model_is_to_blame() -> None:
    said = advice(responses(s0=0.6, s10=1.0))
    assert "60% of the images at s = 0 are already found" in said
    assert "train it longer" in said
    assert "--strength" not in said
    assert "--strength" in advice(responses(s0=0.5, s10=1.0))


def test_where_nothing_is_found_larger_strengths_are_to_be_tried() -> None:
    said = advice(responses(s0=0.1, s10=0.1, s20=0.15))
    assert said == "Hardly any image is found up to s = 0.2: look at larger strengths too."
    assert "Hardly any" in advice(responses(s10=0.1)), "of one strength alone nothing can be said"
