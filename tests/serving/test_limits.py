"""Who may ask, how much and how often."""

import socket

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.serving import ServedModel, Settings
from realnet.serving.limits import RateLimiter
from tests.serving.conftest import serving


@settings(deadline=None)
@given(st.integers(1, 50), st.lists(st.floats(0, 5), min_size=1, max_size=80))
def test_no_minute_has_more_than_a_full_bucket_and_a_minutes_tokens(per_minute: int, pauses: list[float]) -> None:
    now, allowed = 0.0, []
    limiter = RateLimiter(per_minute, lambda: now)
    for pause in pauses:
        now += pause
        if limiter.wait("a") == 0:
            allowed.append(now)
    for start in allowed:
        inside = sum(start <= moment <= start + 60 for moment in allowed)
        assert inside <= 2 * per_minute + 1


def test_after_the_named_wait_there_is_a_token_and_clients_do_not_share() -> None:
    now = 0.0
    limiter = RateLimiter(2, lambda: now)
    assert limiter.wait("a") == limiter.wait("a") == 0
    wait = limiter.wait("a")
    assert wait == pytest.approx(30)
    assert limiter.wait("b") == 0
    now += wait
    assert limiter.wait("a") == 0
    assert limiter.wait("a") > 0


def test_with_a_key_only_the_page_and_health_are_open(models: dict[str, ServedModel], png: bytes) -> None:
    with serving(models, Settings(api_key="correct horse")) as address:
        for place in ("/", "/page.js", "/health"):
            assert requests.get(address + place).status_code == 200
        for place in ("/v1/models", "/metrics"):
            assert requests.get(address + place).status_code == 401
            assert requests.get(address + place, headers={"X-API-Key": "wrong"}).status_code == 401
            assert requests.get(address + place, headers={"X-API-Key": "correct horse"}).status_code == 200
            assert requests.get(address + place, headers={"Authorization": "Bearer correct horse"}).status_code == 200
        files, data = {"image": png}, {"model": "first"}
        refused = requests.post(f"{address}/v1/inspect", files=files, data=data)
        assert (refused.status_code, refused.json()["error"]) == (
            401, "This server wants an API key: send it as the header X-API-Key.",
        )  # fmt: skip
        key = {"X-API-Key": "correct horse"}
        assert requests.post(f"{address}/v1/inspect", files=files, data=data, headers=key).status_code == 200


def test_too_many_requests_of_a_client_are_told_when_to_come_back(models: dict[str, ServedModel], png: bytes) -> None:
    with serving(models, Settings(requests_per_minute=2)) as address:
        answers = [
            requests.post(f"{address}/v1/inspect", files={"image": png}, data={"model": "first"}) for _ in range(3)
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 30
    assert "2 requests a minute" in answers[2].json()["error"]


def test_a_body_is_bounded_whatever_it_says_of_its_length(models: dict[str, ServedModel]) -> None:
    with serving(models, Settings(max_bytes=2048)) as address:
        announced = requests.post(f"{address}/v1/inspect", data=b"x" * 5000)
        assert announced.status_code == 413
        assert "2,048 bytes" in announced.json()["error"]
        pieces = requests.post(
            f"{address}/v1/inspect", data=(b" " * 1000 for _ in range(5)), headers={"Content-Type": "application/json"}
        )
        assert pieces.status_code == 413


def test_an_image_of_too_many_pixels_is_refused_by_its_header(models: dict[str, ServedModel], png: bytes) -> None:
    with serving(models, Settings(max_pixels=1000)) as address:
        answer = requests.post(f"{address}/v1/inspect", files={"image": png}, data={"model": "first"})
    assert answer.status_code == 400
    assert "more than the 0.001" in answer.json()["error"]


def test_more_requests_than_the_server_holds_are_sent_away(models: dict[str, ServedModel], png: bytes) -> None:
    with serving(models, Settings(waiting=1)) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            # Its headers are there, its body is not: it takes the one place.
            slow.sendall(b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
            slow.sendall(b"Content-Length: 100\r\n\r\n{")
            for _ in range(200):
                answer = requests.post(f"{address}/v1/inspect", files={"image": png}, data={"model": "first"})
                if answer.status_code == 503:
                    break
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
        for _ in range(200):
            answer = requests.post(f"{address}/v1/inspect", files={"image": png}, data={"model": "first"})
            if answer.status_code == 200:
                break
        assert answer.status_code == 200
