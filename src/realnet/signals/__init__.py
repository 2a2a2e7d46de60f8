"""Verdicts for machines and services: webhook, MQTT, a command, a Modbus coil; unsent ones wait on disk."""

from realnet.signals.delivery import Signals
from realnet.signals.sink import Refused, Unreachable
from realnet.signals.sinks import open_sink

__all__ = ["Refused", "Signals", "Unreachable", "open_sink"]
