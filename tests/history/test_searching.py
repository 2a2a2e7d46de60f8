"""What is found, and in which order people are asked."""

import datetime
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.errors import UserError
from realnet.history import Query, Store, find, open_history, read_confirmed, review, search, trend
from realnet.history.searching import count, moment
from tests.history.conftest import Add, made


def numbers(store: Store, **fields: object) -> list[int]:
    return [int(entry.id, 16) for entry in search(store, Query(**fields))]  # type: ignore[arg-type]


def test_each_condition_narrows(store: Store, add: Add) -> None:
    add(1, 0.3, "2026-03-01T08:00:00.000Z")
    add(2, 0.5, "2026-03-02T08:00:00.000Z")
    add(3, None, "2026-03-03T08:00:00.000Z")
    add(4, 0.9, "2026-03-04T08:00:00.000Z", model_digest="cd" * 32, image="50%_é.png")
    store.add_feedback(made(2, 0.5).id, "good", "Ann", "a reflection")
    store.add_feedback(made(4, 0.9).id, "good", "Ann")
    store.add_feedback(made(4, 0.9).id, "defective", "Bob", "looked again")
    assert numbers(store) == [4, 3, 2, 1]
    assert numbers(store, since=moment("2026-03-02"), until=moment("2026-03-04")) == [3, 2]
    assert numbers(store, verdict="anomalous") == [4, 2]
    assert numbers(store, label="defective") == [4]
    assert numbers(store, label="good") == [2]
    assert numbers(store, above=0.3, below=0.9) == [2]
    assert numbers(store, model="bottle", verdict="good") == [1]
    assert numbers(store, model="cdcdcd") == [4]
    assert numbers(store, model="other") == []
    assert numbers(store, image="0%_é.PNG") == [4] and numbers(store, image="0%__") == []
    assert numbers(store, image=f"{3:064x}") == [3]
    assert numbers(store, limit=2, before=4) == [3, 2] and count(store, Query(limit=1)) == 4
    found = find(store, made(4, 0.9).id)
    assert (found.label, found.who, found.why) == ("defective", "Bob", "looked again")
    with pytest.raises(UserError, match="Several results begin"):
        find(store, "000000")
    with pytest.raises(UserError, match="No result begins"):
        find(store, "ffffff")
    with pytest.raises(UserError, match="no id"):
        find(store, "%")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=25), st.randoms())
def test_the_closest_verdicts_are_reviewed_first_then_the_most_suspicious(
    scores: list[float], random: random.Random
) -> None:
    store = open_history(":memory:")
    for number, score in enumerate(scores):
        store.add(made(number, score), "bottle", "test", None)
    confirmed = random.sample(range(len(scores)), len(scores) // 3)
    for number in confirmed:
        store.add_feedback(made(number, 0.0).id, "good", "Ann")
    queue = review(store)
    assert sorted(int(entry.id, 16) for entry in queue) == sorted(set(range(len(scores))) - set(confirmed))
    levels = [entry.level or 0.0 for entry in queue]
    close = [abs(level - 0.5) <= 0.1 for level in levels]
    assert close == sorted(close, reverse=True)
    distances = [abs(level - 0.5) for level in levels if abs(level - 0.5) <= 0.1]
    rest = levels[len(distances) :]
    assert distances == sorted(distances) and rest == sorted(rest, reverse=True)
    store.close()


def test_an_image_is_reviewed_once_and_counts_once(store: Store, add: Add) -> None:
    for number in (1, 2):
        add(number, 0.5, image_hash="e" * 64)
    assert [entry.id for entry in review(store)] == [made(2, 0.5).id]
    store.add_feedback(made(1, 0.5).id, "defective", "Ann")
    assert review(store) == []
    store.add_feedback(made(2, 0.5).id, "good", "Bob")
    confirmed = read_confirmed(store, "ab" * 32)
    assert [score for _, _, score in confirmed.good] == [0.5] and confirmed.defects == ()
    assert read_confirmed(store, "cd" * 32).good == ()


def test_confirmed_images_measure_the_model(store: Store, add: Add) -> None:
    for number, score in enumerate((0.1, 0.5, 0.9, 0.45, 0.3)):
        store.add_feedback(add(number, score).id, "defective" if number < 3 else "good", "Ann")
    confirmed = read_confirmed(store, "ab" * 32)
    assert confirmed.sentence(0.4) == "Of 3 confirmed defects 2 are found, of 2 confirmed good images 1 is rejected."
    assert confirmed.sentence(0.6) == "Of 3 confirmed defects 1 is found, of 2 confirmed good images 0 are rejected."


def test_feedback_is_checked(store: Store, add: Add) -> None:
    row = add(1, 0.3)
    for arguments, words in (
        ((row.id, "maybe", "Ann"), "not 'maybe'"),
        ((row.id, "good", " "), "Say who"),
        (("f" * 32, "good", "Ann"), "no result"),
        ((row.id, "good", "A" * 3000), "at most"),
    ):
        with pytest.raises(UserError, match=words):
            store.add_feedback(*arguments)


def test_the_course_over_time(store: Store, add: Add) -> None:
    for number, (score, hour) in enumerate(((0.2, 8), (0.4, 8), (0.9, 9), (None, 9), (0.2, 32))):
        day, of_day = divmod(hour, 24)
        add(number, score, f"2026-03-{day + 1:02d}T{of_day:02d}:30:00.000Z", calibration=1 if hour == 8 else 2)
    hours = trend(store, "hour", Query())
    assert [(span.start, span.images, span.anomalous) for span in hours] == [
        ("2026-03-01T08:00:00Z", 2, 0), ("2026-03-01T09:00:00Z", 1, 1), ("2026-03-02T08:00:00Z", 1, 0),
    ]  # fmt: skip
    assert hours[0].level == pytest.approx(0.375) and hours[0].highest == pytest.approx(0.5)
    assert [span.calibrations for span in hours] == [[1], [2], [2]]
    assert [span.images for span in trend(store, "day", Query())] == [3, 1]
    assert [span.start for span in trend(store, "hour", Query(limit=1))] == ["2026-03-02T08:00:00Z"]


def test_times() -> None:
    now = datetime.datetime(2026, 3, 8, 12, tzinfo=datetime.UTC)
    assert moment("7d", now) == "2026-03-01T12:00:00.000Z"
    assert moment("90m", now) == "2026-03-08T10:30:00.000Z"
    assert moment("2026-03-01T08:30+01:00") == "2026-03-01T07:30:00.000Z"
    for text in ("yesterday", "", "7x", "999999w"):
        with pytest.raises(UserError, match="no time"):
            moment(text, now)
