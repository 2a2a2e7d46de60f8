import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realnet.errors import UserError
from realnet.signals import Unreachable
from realnet.signals.delivery import open_signals
from realnet.signals.modbus import Modbus
from tests.signals.receivers import free_port, signal, until, wait_for_port

pytest.importorskip("pymodbus")


class Controller:
    """pymodbus' own server, in a thread; remembers what was written to its coils."""

    def __init__(self) -> None:
        self.port, self.written = free_port(), []  # type: ignore[var-annotated]
        self._loop: Any = None
        self._server: Any = None

    def start(self) -> "Controller":
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        async def note(function: int, start: int, address: int, count: int, now: Any, values: Any) -> None:
            if values is not None:
                self.written.append((address, bool(next(iter(values)))))

        async def serve() -> None:
            data = SimData(0, count=100, values=False, datatype=DataType.BITS)
            device = SimDevice(1, simdata=([data], [data], [SimData(0)], [SimData(0)]), action=note)
            self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
            await self._server.serve_forever()

        def work() -> None:
            self._loop = asyncio.new_event_loop()
            self._loop.run_until_complete(serve())

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        wait_for_port(self.port)
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop).result(5)
        self._thread.join(5)


@pytest.fixture
def controller() -> Iterator[Controller]:
    made = Controller().start()
    yield made
    if made._thread.is_alive():
        made.stop()


def test_the_coil_follows_the_verdicts(controller: Controller, tmp_path: Path) -> None:
    with open_signals([Modbus(f"modbus://127.0.0.1:{controller.port}/7")], tmp_path / "q") as signals:
        for number, verdict in enumerate(("good", "anomalous", "good", "unreadable")):
            signals.announce(signal(number, verdict))
    assert controller.written == [(7, False), (7, True), (7, False), (7, True)]


def test_a_pulse_ends_by_itself_and_life_is_shown(controller: Controller, tmp_path: Path) -> None:
    sink = Modbus(f"modbus://127.0.0.1:{controller.port}/3?pulse=0.1&heartbeat=4")
    with open_signals([sink], tmp_path / "q", heartbeat=0.1) as signals:
        signals.announce(signal(1, "anomalous"))
        until(lambda: len([coil for coil, _ in controller.written if coil == 4]) >= 4)
    assert [value for coil, value in controller.written if coil == 3] == [True, False]
    assert [value for coil, value in controller.written if coil == 4][:4] == [True, False, True, False]


def test_a_verdict_that_is_too_late_is_left_out_and_counted(tmp_path: Path) -> None:
    controller = Controller()
    said: list[str] = []
    sink = Modbus(f"modbus://127.0.0.1:{controller.port}/0?late=1.5")
    with open_signals([sink], tmp_path / "q", say=said.append) as signals:
        signals.announce(signal(1, "anomalous"))
        time.sleep(1.8)
        controller.start()
        until(lambda: signals.waiting() == {sink.name: 0})
        signals.announce(signal(2, "anomalous"))
        until(lambda: controller.written)
        state = signals.outbox._ask("SELECT id, state FROM signals ORDER BY number").fetchall()
    controller.stop()
    assert controller.written == [(0, True)]
    assert state[0] == (signal(1)["id"], "late")
    assert said[-1].endswith("is back; 1 were too late and are left out.")


def test_a_coil_that_is_not_there_is_said(controller: Controller) -> None:
    with pytest.raises(Unreachable, match="coil 5000 cannot be written"):
        Modbus(f"modbus://127.0.0.1:{controller.port}/5000").send(signal(1))


@pytest.mark.parametrize(
    "address", ["modbus://host", "modbus://host/x", "modbus://host/1?colour=red", "modbus://host/70000"]
)
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(UserError, match="A coil is"):
        Modbus(address)
