"""The cocotb tests of the serial shell, which run inside the simulator; ``tests/sim/test_uart.py`` starts them.

What to send is in ``job.json`` in the folder of the environment variable ``CHANDELIER_JOB``.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, SimTimeoutError, with_timeout
from cocotbext.uart import UartSink, UartSource

from quant.network_file import load_network
from sim.bench import JOB_VARIABLE
from sw.host import Board

_FOLDER = Path(os.environ[JOB_VARIABLE])
_JOB: dict[str, Any] = json.loads((_FOLDER / "job.json").read_text())
#: Nanoseconds of a clock cycle, and how long a read of the host waits for a byte.
_PERIOD, _READING = 10, 100_000
#: Seconds of the clock on the wall: what is lost is sent again soon enough, and a busy machine loses nothing.
_PATIENCE = 60.0


class Line:
    """A serial port for the host's code: the line's models of cocotbext-uart, which keep their own time."""

    def __init__(self, dut: Any, bit: int) -> None:
        self._source, self._sink = UartSource(dut.rx, baud=1e9 / bit), UartSink(dut.tx, baud=1e9 / bit)
        self.write, self.read = resume(self._write), resume(self._read)

    @property
    def in_waiting(self) -> int:
        """Bytes that have come."""
        return int(self._sink.count())

    async def _write(self, line: bytes) -> int:
        await self._source.write(line)
        await self._source.wait()
        return len(line)

    async def _read(self, size: int) -> bytes:
        try:
            return bytes(await with_timeout(self._sink.read(size), _READING, "ns"))
        except SimTimeoutError:
            return b""


def _use(dut: Any, bit: int) -> None:
    """What a user does with a board; the host's Python waits for the simulator."""
    board = Board(Line(dut, bit), "the simulated board", patience=_PATIENCE)
    board.check(load_network(_FOLDER / "network.safetensors"))
    board.reset()
    for k, result in board.infer(np.array(_JOB["codes"], np.uint8)):
        got, expected = [result.predicted, *result.logits], _JOB["expected"][k]
        assert got == expected, f"bits of {bit} ns, sample {k}: expected {expected}, got {got}"
    counters = board.counters()
    assert (counters.samples, counters.bad, counters.lost) == (len(_JOB["codes"]), 0, 0)
    assert board.repeated == 0, f"bits of {bit} ns: {board.repeated} requests were sent again"


@cocotb.test()
@cocotb.parametrize(percent=[-3, 0, 3])
async def host(dut: Any, percent: int) -> None:
    """The host's Python over a line that keeps another time than the board: every result right, nothing sent twice."""
    Clock(dut.clk, _PERIOD, "step").start()
    dut.rx.value, dut.rst.value = 1, 1
    await ClockCycles(dut.clk, 20)
    dut.rst.value = 0
    await bridge(_use)(dut, _PERIOD * _JOB["divisor"] * (100 + percent) // 100)
