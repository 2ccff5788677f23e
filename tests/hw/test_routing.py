"""Fork and merge: every beat reaches everybody, in order, whoever pauses."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.layouts import event_layout
from hw.routing import EventFork, EventMerge

EVENT = event_layout(50, 3)


def _source(stream: Any, beats: list[int], stall: float, rng: random.Random) -> Any:
    """A testbench that sends beats."""

    async def testbench(ctx: Any) -> None:
        for beat in beats:
            ctx.set(stream.valid, 0)
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(stream.valid, 1)
            ctx.set(stream.p.as_value(), beat)
            await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)

    return testbench


def _sink(stream: Any, beats: list[int], count: int, stall: float, rng: random.Random) -> Any:
    """A testbench that takes ``count`` beats, and sees that an offered one stays as it is."""

    async def testbench(ctx: Any) -> None:
        held = None
        while len(beats) < count:
            ready = rng.random() >= stall
            ctx.set(stream.ready, ready)
            *_, valid, beat = await ctx.tick().sample(stream.valid, stream.p.as_value())
            assert held is None or (valid and beat == held), "an offered beat changed"
            held = beat if valid and not ready else None
            if valid and ready:
                beats.append(beat)
        ctx.set(stream.ready, 0)

    return testbench


def _beat(index: int, value: int = 1, last: int = 0) -> int:
    constant: Any = EVENT.const({"index": index, "value": value, "last": last})
    return int(constant.as_bits())


def _run(dut: Any, *testbenches: Any) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run_until(1e-3)  # a thousand cycles: whoever waits for ever has too few beats then


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("outputs", [2, 3])
def test_fork(outputs: int, stall: float) -> None:
    rng = random.Random(outputs)
    beats = [rng.getrandbits(EVENT.size) for _ in range(40)]
    dut = EventFork(event=EVENT, outputs=outputs)
    got: list[list[int]] = [[] for _ in range(outputs)]
    sinks = [_sink(stream, taken, len(beats), stall, rng) for stream, taken in zip(dut.o, got, strict=True)]
    _run(dut, _source(dut.i, beats, stall, rng), *sinks)
    assert got == [beats] * outputs


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("inputs", [2, 3])
def test_merge(inputs: int, stall: float) -> None:
    rng = random.Random(inputs)
    steps = [[[_beat(rng.randrange(50)) for _ in range(rng.randrange(4))] for _ in range(6)] for _ in range(inputs)]
    dut = EventMerge(event=EVENT, inputs=inputs)
    sources = [[beat for step in own for beat in [*step, _beat(0, last=1)]] for own in steps]
    expected = [beat for k in range(6) for beat in [*(b for own in steps for b in own[k]), _beat(0, last=1)]]
    got: list[int] = []
    feeds = [_source(stream, beats, stall, rng) for stream, beats in zip(dut.i, sources, strict=True)]
    _run(dut, *feeds, _sink(dut.o, got, len(expected), stall, rng))
    assert got == expected


def test_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="outputs of the fork must be at least 2, not 1"):
        EventFork(event=EVENT, outputs=1)
    with pytest.raises(ValueError, match="inputs of the merge must be at least 2, not 1"):
        EventMerge(event=EVENT, inputs=1)
