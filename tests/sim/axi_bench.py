"""The cocotb tests of the AXI shell, which run inside the simulator; ``tests/sim/test_axi.py`` starts them.

What to send is in ``job.json`` in the folder of the environment variable ``CHANDELIER_JOB``.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, FallingEdge, SimTimeoutError, Timer, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from hw.load_image import load_image
from hw.loader import Status
from hw.manifest import Manifest
from hw.registers import read_registers
from quant.errors import ChandelierError
from quant.network_file import load_network
from sim.bench import JOB_VARIABLE
from sw.axi_host import AxiBoard

_FOLDER = Path(os.environ[JOB_VARIABLE])
_JOB: dict[str, Any] = json.loads((_FOLDER / "job.json").read_text())
_PERIOD = 4  # time units: outputs are looked at between the clock's edges
_OFFSETS = {register.name: register.offset for register in read_registers()}
#: Cycles after which what has not come does not come.
_PATIENCE = 100_000
#: What the shell drives, and what it is driven with.
_OUTPUTS = ["s_axis_tready", "m_axis_tvalid", "m_axis_tdata", "m_axis_tlast", "s_axi_rdata"]
_OUTPUTS += [f"s_axi_{name}" for name in ("awready", "wready", "bvalid", "arready", "rvalid")]
_INPUTS = ["s_axis_tvalid", "s_axis_tlast", "m_axis_tready"]
_INPUTS += [f"s_axi_{name}" for name in ("awvalid", "wvalid", "bready", "arvalid", "rready")]


def _pauses(rng: random.Random, stall: float) -> Iterator[bool]:
    """Whether to pause, in each cycle."""
    while True:
        yield rng.random() < stall


class Bench:
    """The shell, with a model of a bus at each interface; all of them pause at random, as the job's seed says."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, random.Random(_JOB["seed"])
        dut.aresetn.value = 0
        Clock(dut.aclk, _PERIOD, "step").start()
        common = (dut.aclk, dut.aresetn, False)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *common, byte_lanes=1)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *common, byte_lanes=1)
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), *common)
        read, write = self.lite.read_if, self.lite.write_if
        paused = [self.source, self.sink, read.ar_channel, read.r_channel]
        paused += [write.aw_channel, write.w_channel, write.b_channel]
        if hasattr(dut, "s_axis_load_tdata"):
            self.images = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_load"), *common, byte_lanes=1)
            paused.append(self.images)
        for channel in paused:
            channel.set_pause_generator(_pauses(random.Random(self.rng.getrandbits(64)), _JOB["stall"]))

    async def reset(self) -> None:
        """Low for a few cycles."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 4)
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 2)

    async def read(self, name: str) -> int:
        """A register."""
        return int(await self.lite.read_dword(_OFFSETS[name]))

    async def write(self, name: str, value: int) -> None:
        """Likewise."""
        await self.lite.write_dword(_OFFSETS[name], value)

    async def receive(self) -> list[int]:
        """The words of the next packet."""
        try:
            frame = await with_timeout(self.sink.recv(), _PATIENCE * _PERIOD, "step")
        except SimTimeoutError:
            raise AssertionError(f"no result in {_PATIENCE} cycles") from None
        return list(frame.tdata)

    async def quiet(self, cycles: int = 200) -> None:
        """Waits until nothing has come for so long, and forgets all that has."""
        while True:
            await ClockCycles(self.dut.aclk, cycles)
            if self.sink.empty():
                return
            self.sink.clear()

    async def disturb(self) -> None:
        """Reads and writes registers, and addresses without one, all the time; none of it matters."""
        while True:
            place = 4 * self.rng.randrange(64)
            if self.rng.random() < 0.5:
                await self.lite.read_dword(place)
            elif place != _OFFSETS["control"]:
                await self.lite.write_dword(place, self.rng.getrandbits(32))
            await ClockCycles(self.dut.aclk, self.rng.randrange(1, 100))

    async def turn_over(self) -> None:
        """Turns inputs over between two clock edges: no output may follow within the cycle."""
        outputs, inputs = ([getattr(self.dut, name) for name in names] for names in (_OUTPUTS, _INPUTS))
        while True:
            await ClockCycles(self.dut.aclk, self.rng.randrange(1, 100))
            await FallingEdge(self.dut.aclk)
            before, kept = [int(output.value) for output in outputs], [int(one.value) for one in inputs]
            for one, value in zip(inputs, kept, strict=True):
                one.value = 1 - value
            await Timer(1, "step")
            after = [int(output.value) for output in outputs]
            for one, value in zip(inputs, kept, strict=True):
                one.value = value
            assert after == before, f"outputs follow inputs within a cycle: {before} becomes {after}"


def _check(packet: list[int], expected: list[int], what: str) -> None:
    """Class and logits of a result, whose cycles are only plausible."""
    predicted, cycles, *logits = packet
    assert [predicted, *logits] == expected, f"{what}: expected {expected}, got {[predicted, *logits]}"
    assert 0 < cycles < _PATIENCE, f"{what}: {cycles} cycles"


@cocotb.test()
async def samples(dut: Any) -> None:
    """Good packets between wrong ones: each good one has its result, and nothing else does."""
    bench = Bench(dut)
    await bench.reset()
    tasks = [cocotb.start_soon(bench.disturb()), cocotb.start_soon(bench.turn_over())]
    for words in _JOB["packets"]:
        await bench.source.send(words)
    for k, expected in enumerate(_JOB["expected"]):
        _check(await bench.receive(), expected, f"seed {_JOB['seed']}, sample {k}")
    await bench.source.wait()
    for task in tasks:
        task.cancel()
    await bench.quiet()
    good, wrong = len(_JOB["expected"]), len(_JOB["packets"]) - len(_JOB["expected"])
    counted = [await bench.read(name) for name in ("samples", "results", "errors", "status")]
    assert counted == [good, good, wrong, 0], f"seed {_JOB['seed']}: counted {counted} of {good} good, {wrong} wrong"
    cycles = await bench.read("cycles")
    assert cycles > 0
    dut._log.warning("%d cycles busy", cycles)


@cocotb.test()
async def resets(dut: Any) -> None:
    """Resets at any time, of either kind: the samples behind are computed as if nothing had been before."""
    bench = Bench(dut)
    await bench.reset()
    good = [words for words in _JOB["packets"] if len(words) == _JOB["words"]]
    for number in range(_JOB["resets"]):
        for _ in range(bench.rng.randrange(5)):
            await bench.source.send(bench.rng.choice(_JOB["packets"]))
        await ClockCycles(dut.aclk, bench.rng.randrange(_JOB["longest"]))
        what = f"seed {_JOB['seed']}, reset {number}"
        if hard := bench.rng.random() < 0.5:
            bench.source.clear()
            await bench.reset()
        else:
            await bench.write("control", 1)
        await bench.source.wait()
        await bench.quiet(_JOB["longest"])
        await bench.write("control", 2)
        for _ in range(2):
            k = bench.rng.randrange(len(good))
            await bench.source.send(good[k])
            _check(await bench.receive(), _JOB["expected"][k], f"{what}, {'aresetn' if hard else 'control'}")
        counted = [await bench.read(name) for name in ("samples", "results", "errors", "status")]
        assert counted == [2, 2, 0, 0], f"{what}: counted {counted}"


class Memory:
    """The registers, for code that does not wait for triggers."""

    def __init__(self, bench: Bench) -> None:
        self.read, self.write = resume(bench.lite.read_dword), resume(bench.lite.write_dword)


class Streams:
    """A stream of packets to the shell, and the one from it, likewise."""

    def __init__(self, bench: Bench, source: AxiStreamSource) -> None:
        self._source, self._receive = source, resume(bench.receive)

    @resume
    async def send(self, packet: np.ndarray) -> None:
        """Returns when the packet has been taken."""
        await self._source.send([int(word) for word in packet])
        await self._source.wait()

    def receive(self, words: int) -> np.ndarray:
        """The next one."""
        return np.array(self._receive(), "<u4")


def _infer(board: AxiBoard, codes: np.ndarray, expected: list[list[int]]) -> None:
    for k, result in board.infer(codes):
        got = [result.predicted, *(v % (1 << 32) for v in result.logits)]
        assert got == expected[k], f"sample {k}: expected {expected[k]}, got {got}"


def _use(bench: Bench) -> None:
    """What a user does with a board."""
    board = AxiBoard(Memory(bench), Streams(bench, bench.source))
    board.check(load_network(_FOLDER / "network.safetensors"))
    board.restart()
    codes = np.array(_JOB["codes"], np.uint8)
    _infer(board, codes, _JOB["expected"])
    counters = board.counters()
    assert (counters.samples, counters.results, counters.errors) == (len(codes), len(codes), 0)
    board.reset()
    assert board.counters().samples == 0


@cocotb.test()
async def host(dut: Any) -> None:
    """The host's Python against the simulated shell."""
    bench = Bench(dut)
    await bench.reset()
    await bridge(_use)(bench)


def _load(bench: Bench) -> None:
    """Loads another network, and once a damaged one."""
    board = AxiBoard(Memory(bench), Streams(bench, bench.source), images := Streams(bench, bench.images))
    codes, manifest = np.array(_JOB["codes"], np.uint8), Manifest.read(_FOLDER.parent)
    first, other = (load_network(_FOLDER / f"{name}.safetensors") for name in ("network", "other"))
    board.load(other, manifest)
    _infer(board, codes, _JOB["of_other"])
    try:
        board.check(other)
    except ChandelierError as error:
        assert "something was loaded" in str(error)
    else:
        raise AssertionError("a design into which something was loaded passes for the one that it was")
    damaged = np.frombuffer(load_image(first, manifest), "<u4").copy()
    damaged[-2] ^= 1 << 7
    images.send(damaged)
    status, offset = Status.LOADING, _OFFSETS["status"]
    while status == Status.LOADING:
        status = Status(Memory(bench).read(offset) >> 1 & 3)
    assert status == Status.REFUSED
    board.load(first, manifest)
    _infer(board, codes, _JOB["expected"])


@cocotb.test(skip="of_other" not in _JOB)
async def loads(dut: Any) -> None:
    """Other networks through the shell."""
    bench = Bench(dut)
    await bench.reset()
    await bridge(_load)(bench)
