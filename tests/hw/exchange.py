"""Runs a component with streams ``i`` and ``o`` in Amaranth's simulator, with pauses at random on both sides."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
from amaranth import Value
from amaranth.lib import data
from amaranth.sim import Simulator

__all__ = ["Exchange", "event_beats", "exchange", "plain"]

#: Cycles without any beat after which a component is taken for dead.
PATIENCE = 5000


def event_beats(x: np.ndarray, events: int = 1, rng: np.random.Generator | None = None) -> list[dict[str, Any]]:
    """The non-zeros of a vector, in any order if there is a generator, ``events`` at once, and then the marker."""
    lit = np.flatnonzero(x) if rng is None else rng.permutation(np.flatnonzero(x))
    lanes = [[(int(j) // events, int(x[j])) for j in lit if j % events == lane] for lane in range(events)]
    nonsense = 0 if rng is None else int(rng.integers(2))  # what comes with the marker means nothing
    beats = []
    for sent in [*zip_longest(*lanes, fillvalue=(0, 0)), [(0, nonsense)] * events]:
        several = [{"index": index, "value": value} for index, value in sent]
        beats.append((several[0] if events == 1 else {"events": several}) | {"last": 0})
    beats[-1]["last"] = 1
    return beats


@dataclass
class Exchange:
    """What happened.

    Parameters
    ----------
    outputs : list
        Payloads as plain numbers, lists and dicts.
    sent, received : list of int
        The clock cycles in which the beats passed at the input and at the output.
    offered, ready : list of int
        The clock cycles from which on each beat was offered at the input, and those in which the output was taken.
    watched : dict of lists of int
        Payloads, as vectors of bits, that passed on each stream that was watched.
    """

    outputs: list[Any] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    offered: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    watched: dict[Any, list[Any]] = field(default_factory=dict)


def plain(value: Any) -> Any:
    """A constant as plain numbers, lists and dicts."""
    if not isinstance(value, data.Const):
        return int(value)
    layout: Any = value.shape()
    if isinstance(layout, data.ArrayLayout):
        return [plain(value[k]) for k in range(layout.length)]
    return {name: plain(value[name]) for name, _ in layout}


def exchange(
    dut: Any,
    inputs: Iterable[Any],
    outputs: int,
    *,
    seed: int,
    stall: float = 0.5,
    watch: Mapping[Any, Any] | None = None,
    counts: Callable[[Any], bool] = lambda beat: True,
) -> Exchange:
    """Sends ``inputs`` until ``outputs`` beats have come, each side pausing with probability ``stall`` a cycle.

    Checks on the way that an offered beat stays as it is until it is taken. Between beats the input payload is
    noise. ``watch`` names streams inside whose beats are recorded; ``counts`` says which output beats are counted.
    """
    rng, result, layout = random.Random(seed), Exchange(), dut.i.p.shape()
    waiting: Sequence[Any] = [layout.const(beat).as_bits() for beat in inputs]

    async def testbench(ctx: Any) -> None:
        queue, offered, held, cycle = list(reversed(waiting)), False, None, 0
        while sum(map(counts, result.outputs)) < outputs:
            if not offered and queue and rng.random() >= stall:
                offered = True
                result.offered.append(cycle)
            ready = rng.random() >= stall
            if ready:
                result.ready.append(cycle)
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.p.as_value(), queue[-1] if offered else rng.getrandbits(layout.size))
            ctx.set(dut.o.ready, ready)
            beat = ctx.tick().sample(dut.i.ready, dut.o.valid, dut.o.p, Value.cast(dut.o.p))
            *_, accepted, valid, payload, bits = await beat
            assert held is None or (valid and bits == held), f"cycle {cycle}: an offered beat changed"
            held = bits if valid and not ready else None
            if offered and accepted:
                result.sent.append(cycle)
                queue.pop()
                offered = False
            if valid and ready:
                result.outputs.append(plain(payload))
                result.received.append(cycle)
            cycle += 1
            last = max([0, *result.sent[-1:], *result.received[-1:]])
            assert cycle - last < PATIENCE, f"nothing moves since cycle {last}, {len(result.outputs)} beats have come"

    async def observe(ctx: Any, name: Any, stream: Any) -> None:
        beats = result.watched.setdefault(name, [])
        async for *_, valid, ready, payload in ctx.tick().sample(stream.valid, stream.ready, stream.p.as_value()):
            if valid and ready:
                beats.append(payload)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    for name, watched in (watch or {}).items():
        simulator.add_process(partial(observe, name=name, stream=watched))
    simulator.run()
    return result
