"""Log lines."""

import json
import logging

import pytest

from realnet.logs import set_up_logs


@pytest.fixture(autouse=True)
def as_it_was():
    logger = logging.getLogger("realnet")
    before = (logger.handlers[:], logger.level)
    yield
    logger.handlers[:], logger.level = before


@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_is_one_line_whatever_it_says(capsys: pytest.CaptureFixture, as_json: bool) -> None:
    set_up_logs("info", as_json)
    facts = {"image": 'a "b"\n2026-01-01T00:00:00Z INFO verdict', "score": 0.25, "calibration": None, "é": "é=1"}
    logging.getLogger("realnet.x").info("ver\ndict", extra={"facts": facts})
    logging.getLogger("realnet.x").debug("not this")
    (line,) = capsys.readouterr().err.splitlines()
    if as_json:
        record = json.loads(line)
        assert {name: record[name] for name in facts} == facts
        assert (record["event"], record["level"]) == ("ver\ndict", "info")
    else:
        assert 'INFO ver dict image="a \\"b\\"\\n' in line and "score=0.25 calibration=null" in line
