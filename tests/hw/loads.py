"""Drives a design with loadable weights: samples without end, and images at the configuration port, in between."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth import ClockDomain, Module
from amaranth.sim import Simulator

from hw.instance import RESET_CYCLES
from hw.loader import LOAD_LAYOUT, Status
from tests.hw.exchange import PATIENCE, plain

__all__ = ["LOAD_BINS", "Load", "Loaded", "drive", "words_of"]

_MOMENTS = ("at rest", "a sample under way", "no network", "while loading")
#: What can happen around loads: when one begins, how it ends, when a reset comes.
LOAD_BINS: Mapping[str, tuple[str, ...]] = {
    "a load is offered": _MOMENTS,
    "a load ends": ("accepted", "refused", "broken off"),
    "reset": _MOMENTS,
}


def words_of(image: bytes) -> list[int]:
    """The words of an image."""
    return [int(word) for word in np.frombuffer(image, "<u4")]


@dataclass(frozen=True)
class Load:
    """Words for the configuration port, and the number that stands for what is loaded by them, if they are right.

    ``outcome`` is None if the words break off, so that the design waits for more; ``reset`` breaks off by a reset.
    """

    words: Sequence[int]
    network: int
    outcome: Status | None
    reset: bool = False


@dataclass
class Loaded:
    """What happened: the network that each sample met when it began, its result, the cycles that passed, the bins."""

    met: list[int] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    cycles: int = 0
    bins: Counter[tuple[str, str]] = field(default_factory=Counter)


def drive(dut: Any, samples: Sequence[Sequence[Any]], loads: Sequence[Load], *, seed: int, stall: float) -> Loaded:
    """Sends the samples (a list of beats each) over and over, until all loads are through and 3 more samples, too.

    Network 0 is there at first. Checks that status and outcome of each load agree, and that no sample begins without a
    whole network.
    """
    rng, result = random.Random(seed), Loaded()
    i_layout = dut.i.p.shape()
    beats = [[i_layout.const(beat).as_bits() for beat in sample] for sample in samples]
    top: Any = Module()
    domain: Any = ClockDomain("sync")
    top.domains.sync = domain
    top.submodules.dut = dut

    async def testbench(ctx: Any) -> None:
        whole: int | None = 0  # the network that is there
        plan, load, wait, extra = list(loads), None, 5, 0
        words: list[tuple[int, bool]] = []
        queue: list[int] = []
        i_valid = c_valid = first_beat = False
        idle = pending = 0
        expected: Status | None = None  # after a reset
        status = Status.READY
        while plan or words or load or extra < 3 or len(result.results) < len(result.met):
            if not queue and (plan or words or load or extra < 3):
                queue, first_beat = list(beats[len(result.met) % len(beats)]), True
            if load is None and not words and plan and wait == 0:
                load = plan.pop(0)
                words = [(w, k == 0) for k, w in enumerate(load.words)]
            wait = max(0, wait - 1)
            i_valid = i_valid or (bool(queue) and rng.random() >= stall)
            offered, c_valid = c_valid, c_valid or (bool(words) and rng.random() >= stall)
            ready = rng.random() >= stall
            reset = load is not None and load.reset and not words
            ctx.set(domain.rst, reset)
            ctx.set(dut.i.valid, i_valid and not reset)
            ctx.set(dut.i.p.as_value(), queue[0] if i_valid else rng.getrandbits(i_layout.size))
            ctx.set(dut.c.valid, c_valid and not reset)
            word, mark = words[0] if c_valid else (rng.getrandbits(32), rng.getrandbits(1))
            ctx.set(dut.c.p, LOAD_LAYOUT.const({"word": word, "first": mark}))
            ctx.set(dut.o.ready, ready and not reset)
            if reset or (c_valid and not offered and words[0][1]):
                under_way = len(result.met) > len(result.results) or not first_beat
                moment = _MOMENTS[under_way if whole is not None else 2 + (status == Status.LOADING)]
                result.bins["reset" if reset else "a load is offered", moment] += 1
            *_, i_ready, c_ready, o_valid, o_p, status = await ctx.tick().sample(
                dut.i.ready, dut.c.ready, dut.o.valid, dut.o.p, dut.status
            )
            result.cycles += 1
            where = f"seed {seed}, cycle {result.cycles}, status {status}"
            idle, pending = idle + 1, pending + 1 if c_valid else 0
            if expected is not None:
                awaited = c_valid and words[0][1]  # the next load begins at once
                assert status == (Status.LOADING if awaited else expected), f"{where}: a reset has been"
            expected = None
            if reset:
                # A shorter one would leave products on their way, which then counted as those of the next sample.
                for _ in range(RESET_CYCLES - 1):
                    await ctx.tick()
                result.cycles += RESET_CYCLES - 1
                expected = Status.REFUSED if whole is None else Status.READY
                load, wait, queue, i_valid = None, rng.randrange(60), [], False
                del result.met[len(result.results) :]  # they have vanished
                continue
            if i_valid and i_ready:
                idle = 0
                if first_beat:
                    assert whole is not None, f"{where}: a sample begins without a network"
                    result.met.append(whole)
                    extra += not (plan or words or load)
                queue.pop(0)
                i_valid = first_beat = False
            if o_valid and ready:
                idle = 0
                result.results.append(plain(o_p))
            if load is not None and not words and load.outcome is not None and status != Status.LOADING:
                assert status == load.outcome, f"{where}: {load.outcome} was expected"
                whole = load.network if status == Status.READY else None
                result.bins["a load ends", "refused" if whole is None else "accepted"] += 1
                load, wait = None, rng.choice([0, 60, 120])
            elif load is not None and not words and load.outcome is None:
                assert status == Status.LOADING, where
                result.bins["a load ends", "broken off"] += 1
                load, wait = None, rng.choice([0, 30])
            if c_valid and c_ready:
                idle = 0
                if words[0][1]:
                    whole = None
                    assert len(result.results) == len(result.met) and first_beat, f"{where}: a sample is under way"
                words.pop(0)
                c_valid = False
            assert max(idle, pending) < PATIENCE, f"{where}: nothing moves"

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return result
