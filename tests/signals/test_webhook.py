import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from realnet.errors import UserError
from realnet.signals import Refused, Unreachable
from realnet.signals.delivery import open_signals
from realnet.signals.webhook import Webhook
from tests.signals.receivers import Receiver, signal, until


def test_nothing_is_lost_while_the_receiver_is_killed_and_comes_back(receiver: Receiver, tmp_path: Path) -> None:
    said: list[str] = []
    receiver.start()
    with open_signals([Webhook(receiver.url)], tmp_path / "q", say=said.append) as signals:
        for number in range(5):
            signals.announce(signal(number))
        until(lambda: len(receiver.messages()) == 5)
        receiver.kill()
        for number in range(5, 25):
            signals.announce(signal(number))
        until(lambda: said)
        receiver.start()
        until(lambda: signals.waiting() == {receiver.url: 0})
    ids = [message["id"] for message in receiver.messages()]
    assert ids == [signal(number)["id"] for number in range(25)]
    tried_before = [message["image"] for message in receiver.messages() if message["repeated"]]
    assert tried_before == ["5.png"]
    assert "cannot be reached" in said[0] and said[-1].endswith("is back.")


def test_what_a_dead_receiver_missed_is_sent_by_the_next_call(receiver: Receiver, tmp_path: Path) -> None:
    said: list[str] = []
    with open_signals([Webhook(receiver.url)], tmp_path / "q", say=said.append) as signals:
        for number in range(3):
            signals.announce(signal(number, "anomalous"))
    assert "3 signals for" in said[-1]
    receiver.start()
    with open_signals([Webhook(receiver.url)], tmp_path / "q"):
        pass
    assert [message["image"] for message in receiver.messages()] == ["0.png", "1.png", "2.png"]


def test_signals_for_a_receiver_that_is_not_named_are_mentioned(receiver: Receiver, tmp_path: Path) -> None:
    with open_signals([Webhook(receiver.url)], tmp_path / "q") as signals:
        signals.announce(signal(1))
    said: list[str] = []
    with open_signals([Webhook(receiver.url + "?other=1")], tmp_path / "q", say=said.append):
        pass
    assert said[0].startswith("1 signals") and "not named" in said[0]


@pytest.mark.parametrize("secret", ["whsec_" + base64.b64encode(b"0123456789abcdef").decode(), "plain words"])
def test_the_signature_is_that_of_the_standard(receiver: Receiver, secret: str) -> None:
    receiver.start()
    Webhook(receiver.url, secret).send({**signal(7), "repeated": False})
    (taken,) = receiver.received()
    headers = taken["headers"]
    key = b"0123456789abcdef" if secret.startswith("whsec_") else secret.encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{taken['body']}".encode()
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == signal(7)["id"] and headers["content-type"] == "application/json"


@pytest.mark.parametrize(("place", "raised"), [("status/422", Refused), ("status/503", Unreachable),
                                               ("status/401", Unreachable), ("moved", Unreachable)])  # fmt: skip
def test_what_is_refused_for_good_and_what_is_tried_again(
    receiver: Receiver, place: str, raised: type[Exception]
) -> None:
    receiver.start()
    with pytest.raises(raised):
        Webhook(receiver.url.replace("taken", place)).send(signal(1))
    assert receiver.messages() == []


def test_a_refused_signal_does_not_hold_up_the_others(receiver: Receiver, tmp_path: Path) -> None:
    receiver.start()
    said: list[str] = []
    bad = Webhook(receiver.url.replace("taken", "status/400"))
    with open_signals([bad, Webhook(receiver.url)], tmp_path / "q", say=said.append) as signals:
        signals.announce(signal(1))
        until(lambda: said and len(receiver.messages()) == 1)
        state = signals.outbox._ask("SELECT state FROM signals WHERE sink = ?", bad.key).fetchone()
    assert state == ("refused",)


def test_only_what_is_not_good_where_so_asked(receiver: Receiver, tmp_path: Path) -> None:
    receiver.start()
    with open_signals([Webhook(receiver.url)], tmp_path / "q", which="anomalous") as signals:
        for number, verdict in enumerate(("good", "anomalous", "good", "unreadable")):
            signals.announce(signal(number, verdict))
    assert [message["verdict"] for message in receiver.messages()] == ["anomalous", "unreadable"]


def test_signs_of_life_come_in_time_and_are_not_kept(receiver: Receiver, tmp_path: Path) -> None:
    with open_signals([Webhook(receiver.url)], tmp_path / "q", heartbeat=0.2) as signals:
        receiver.start()
        until(lambda: len(receiver.messages()) >= 3)
        assert signals.waiting() == {receiver.url: 0}
    assert {message["kind"] for message in receiver.messages()} == {"heartbeat"}


@pytest.mark.parametrize("address", ["http://user:secret@host/x", "http:///x"])
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(UserError, match="A webhook is"):
        Webhook(address)
    with pytest.raises(UserError, match="base64"):
        Webhook("http://host/x", "whsec_%%%")
