"""Verdicts as a coil of a programmable controller: Modbus TCP, by pymodbus."""

import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.signals.sink import Message, Sink, Unreachable

_FORM = "modbus://HOST[:PORT]/COIL[?device=1&pulse=SECONDS&heartbeat=COIL&late=SECONDS]"
_SECONDS = 3.0
# A machine that has moved on must not be told of a part that is no longer there.
_LATE = 5.0


class Modbus(Sink):
    """Sets a coil for an image that is not good, and clears it for a good one.

    With ``pulse`` the coil is cleared again after so many seconds. Each sign of life turns the coil ``heartbeat`` over.
    A signal older than ``late`` seconds (5) is left out: only this receiver forgets.

    Args:
        address: as ``modbus://HOST[:PORT]/COIL[?device=1&pulse=SECONDS&heartbeat=COIL&late=SECONDS]``.

    Raises:
        UserError: for another form of address, or without pymodbus.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        try:
            options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
            if set(options) - {"device", "pulse", "heartbeat", "late"} or not parts.hostname:
                raise ValueError
            self._coil, self._device = _coil(parts.path.removeprefix("/")), int(options.get("device", 1))
            self._pulse, late = float(options.get("pulse", 0)), float(options.get("late", _LATE))
            self._life = _coil(options["heartbeat"]) if "heartbeat" in options else None
            port = parts.port or 502
        except ValueError as error:
            raise UserError(f"A coil is {_FORM}, not {address}.") from error
        try:
            from pymodbus import ModbusException
            from pymodbus.client import ModbusTcpClient
        except ImportError as error:
            raise UserError(f"Modbus needs pymodbus, which is not installed: {install_hint('modbus')}.") from error
        super().__init__(address, f"modbus://{parts.hostname}:{port}/{self._coil}", late)
        self._failure: type[Exception] = ModbusException
        self._client: Any = ModbusTcpClient(parts.hostname, port=port, timeout=_SECONDS, retries=0)
        self._alive = False

    def send(self, message: Message) -> None:
        """As :meth:`Sink.send`."""
        bad = message["verdict"] != "good"
        self._write(self._coil, bad)
        if bad and self._pulse:
            time.sleep(self._pulse)
            self._write(self._coil, False)

    def beat(self, message: Message) -> None:
        """As :meth:`Sink.beat`."""
        if self._life is not None:
            self._alive = not self._alive
            self._write(self._life, self._alive)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _write(self, coil: int, value: bool) -> None:
        try:
            if not self._client.connected and not self._client.connect():
                raise Unreachable("no connection")
            answer = self._client.write_coil(coil, value, device_id=self._device)
        except (self._failure, OSError) as error:
            self._client.close()
            raise Unreachable(str(error)) from error
        if answer.isError():
            raise Unreachable(f"coil {coil} cannot be written: {answer}")


def _coil(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError(text)
    return value
