"""Signals over MQTT, by paho-mqtt: quality of service 1, at least once."""

import json
import secrets
import threading
from typing import Any
from urllib.parse import unquote, urlsplit

from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.signals.sink import Message, Sink, Unreachable

_SECONDS = 10.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Mqtt(Sink):
    """Publishes each message to a topic; taken is what the broker acknowledges.

    ``TOPIC/status`` holds ``online``, and ``offline`` once the connection is lost; ``TOPIC/heartbeat`` the last sign of
    life. Both are retained.

    Args:
        address: ``mqtt://[USER@]HOST[:PORT]/TOPIC``, or ``mqtts://`` with TLS.
        seconds: that the broker may take.

    Raises:
        UserError: for another form of address, or without paho-mqtt.
    """

    def __init__(self, address: str, password: str | None = None, seconds: float = _SECONDS) -> None:
        parts = urlsplit(address)
        topic = unquote(parts.path.removeprefix("/"))
        if not parts.hostname or not topic or any(sign in address for sign in "+#?"):
            raise UserError("An MQTT broker is mqtt://[USER@]HOST[:PORT]/TOPIC, and a topic has no + or #.")
        if parts.password is not None:
            raise UserError("Give the password of the MQTT broker as REALNET_MQTT_PASSWORD, not in its address.")
        try:
            import paho.mqtt.client as paho
        except ImportError as error:
            raise UserError(f"MQTT needs paho-mqtt, which is not installed: {install_hint('mqtt')}.") from error
        super().__init__(address, f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}/{topic}")
        self._paho, self._parts, self._topic = paho, parts, topic
        self._password, self._seconds = password, seconds
        self._client: Any = None

    def send(self, message: Message) -> None:
        """As :meth:`Sink.send`."""
        self._publish(self._topic, message, retain=False)

    def beat(self, message: Message) -> None:
        """As :meth:`Sink.beat`."""
        self._publish(f"{self._topic}/heartbeat", message, retain=True)

    def close(self) -> None:
        """Say good-bye to the broker."""
        if self._client is not None:
            if self._client.is_connected():
                self._client.publish(f"{self._topic}/status", "offline", qos=1, retain=True).wait_for_publish(1)
            self._drop()

    def _publish(self, topic: str, message: Message, retain: bool) -> None:
        try:
            if self._client is None:
                self._connect()
            sent = self._client.publish(topic, json.dumps(message, separators=(",", ":")), qos=1, retain=retain)
            sent.wait_for_publish(self._seconds)
            if sent.is_published():
                return
            problem = "the broker does not acknowledge"
        except (OSError, ValueError, RuntimeError) as error:
            problem = str(error)
        # What the client still holds is in the outbox: a new one begins without it.
        self._drop()
        raise Unreachable(problem)

    def _connect(self) -> None:
        paho, parts = self._paho, self._parts
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"realnet-{secrets.token_hex(6)}")
        if parts.username is not None:
            client.username_pw_set(unquote(parts.username), self._password)
        if parts.scheme == "mqtts":
            client.tls_set()
        client.will_set(f"{self._topic}/status", "offline", qos=1, retain=True)
        answered, reasons = threading.Event(), []

        def on_connect(client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
            reasons.append(reason)
            answered.set()

        client.on_connect = on_connect
        client.connect_timeout = self._seconds
        self._client = client
        client.connect(parts.hostname, parts.port or _PORTS[parts.scheme], keepalive=30)
        client.loop_start()
        if not answered.wait(self._seconds):
            raise OSError("the broker does not answer")
        if reasons[0].is_failure:
            raise OSError(f"the broker refuses the connection: {reasons[0]}")
        client.publish(f"{self._topic}/status", "online", qos=1, retain=True)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()
