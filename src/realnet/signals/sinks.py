"""Receivers by their addresses."""

from collections.abc import Mapping

from realnet.errors import UserError
from realnet.signals.sink import Sink

_KINDS = "https://HOST/PATH, mqtt://HOST/TOPIC, modbus://HOST/COIL or command:PROGRAM"


def open_sink(address: str, environment: Mapping[str, str]) -> Sink:
    """The receiver at ``address``; nothing is sent yet, and it need not be there.

    Args:
        address: ``http://``, ``https://``, ``mqtt://``, ``mqtts://``, ``modbus://`` or ``command:``.
        environment: of the process: ``REALNET_SINK_SECRET`` signs webhooks, ``REALNET_MQTT_PASSWORD`` is the broker's.

    Raises:
        UserError: for another kind or form of address, or an absent package.
    """
    kind = address.partition(":")[0].lower()
    if kind in ("http", "https"):
        from realnet.signals.webhook import Webhook

        return Webhook(address, environment.get("REALNET_SINK_SECRET"))
    if kind in ("mqtt", "mqtts"):
        from realnet.signals.mqtt import Mqtt

        return Mqtt(address, environment.get("REALNET_MQTT_PASSWORD"))
    if kind == "modbus":
        from realnet.signals.modbus import Modbus

        return Modbus(address)
    if kind == "command":
        from realnet.signals.command import Command

        return Command(address.partition(":")[2])
    raise UserError(f"--sink {address} is no receiver of signals: write {_KINDS}.")
