"""UART: bytes through a line with spikes, wrong clocks, breaks; and back."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.uart import UARTReceiver, UARTTransmitter


def waveform(value: int, bit: float, *, stop: int = 1, idle: float = 0.0) -> Iterator[tuple[int, float]]:
    """(level, cycles) of a byte on the line."""
    yield from ((level, bit) for level in (0, *(value >> k & 1 for k in range(8))))
    yield (stop, bit + idle)


def sampled(levels: Iterable[tuple[int, float]]) -> list[int]:
    """A level for each clock cycle."""
    line: list[int] = []
    end = 0.0
    for level, cycles in levels:
        end += cycles
        line += [level] * (round(end) - len(line))
    return line


def receive(line: list[int], divisor: int) -> list[int | None]:
    """What the receiver makes of a line: bytes, and ``None`` for an error."""
    dut, got = UARTReceiver(divisor=divisor), list[int | None]()

    async def testbench(ctx: Any) -> None:
        for level in [1] * 4 + line + [1] * (2 * divisor + 8):
            ctx.set(dut.rx, level)
            *_, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.p)
            if valid:
                got.append(None if payload.error else int(payload.byte))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return got


@pytest.mark.parametrize("divisor", [4, 5, 8, 13, 25])
@pytest.mark.parametrize("drift", [-0.03, 0.0, 0.03])
def test_bytes_of_a_sender_with_another_clock(divisor: int, drift: float) -> None:
    rng = random.Random(divisor)
    sent = [rng.randrange(256) for _ in range(40)] + [0, 255]
    bit = divisor * (1 + (drift if divisor >= 8 else drift / 3))
    line = sampled(part for value in sent for part in waveform(value, bit, idle=rng.choice([0, 0, 0.5, 7]) * bit))
    assert receive(line, divisor) == sent


@pytest.mark.parametrize("divisor", [5, 8, 25])
def test_spikes_of_a_cycle_are_unseen(divisor: int) -> None:
    rng = random.Random(divisor)
    sent = [rng.randrange(256) for _ in range(40)]
    line = [1] * divisor + sampled(part for value in sent for part in waveform(value, divisor, idle=divisor))
    for place in range(2, len(line) - 3, 4):  # not two in a filter's three cycles, but beside edges, too
        edge = line[place - 2 : place + 3] != [line[place]] * 5
        line[place] ^= not edge and rng.random() < 0.7
    assert receive(line, divisor) == sent


def test_a_line_that_stays_low_is_one_error() -> None:
    line = sampled([(0, 500), (1, 3), *waveform(0x5A, 8)])
    assert receive(line, 8) == [None, 0x5A]


def test_a_byte_without_stop_bit_is_an_error() -> None:
    line = sampled([*waveform(0x33, 8, stop=0), (1, 4), *waveform(0x5A, 8)])
    assert receive(line, 8) == [None, 0x5A]


def test_noise_is_survived() -> None:
    """Whatever comes: when the line has been quiet for a byte's time, the next byte is right."""
    for seed in range(5):
        rng = random.Random(seed)
        noise = [(rng.randrange(2), rng.choice([1, 2, 5, 9])) for _ in range(100)]
        assert receive(sampled([*noise, (1, 100), *waveform(0xC3, 8)]), 8)[-1] == 0xC3, f"seed {seed}"


@pytest.mark.parametrize("divisor", [4, 7])
@pytest.mark.parametrize("stall", [0.0, 0.9])
def test_sent_bytes_are_a_waveform(divisor: int, stall: float) -> None:
    rng = random.Random(divisor)
    dut, sent = UARTTransmitter(divisor=divisor), [rng.randrange(256) for _ in range(20)]
    line: list[int] = []

    async def testbench(ctx: Any) -> None:
        waiting, offered = list(reversed(sent)), False
        while waiting or len(line) < 3 or 0 in line[-11 * divisor :]:
            offered = offered or (bool(waiting) and rng.random() >= stall)
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.p, waiting[-1] if offered else rng.randrange(256))
            *_, accepted, level = await ctx.tick().sample(dut.i.ready, dut.tx)
            line.append(level)
            if offered and accepted:
                waiting.pop()
                offered = False

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert receive(line, divisor) == sent
    if not stall:
        assert line[1 : 1 + 10 * divisor * len(sent)] == sampled(p for v in sent for p in waveform(v, divisor))


@pytest.mark.parametrize("component", [UARTReceiver, UARTTransmitter])
def test_divisor_is_checked(component: Any) -> None:
    with pytest.raises(ValueError, match="divisor of a UART must be at least 4 cycles a bit, not 3"):
        component(divisor=3)
