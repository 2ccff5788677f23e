"""The readout: logits summed over the time steps of a sample, and the class with the largest."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, index_of, result_layout, shape_of
from hw.packing import ceil_div
from hw.pipeline import Delay, pipeline
from hw.product import reduce_levels
from quant.formats import Format

__all__ = ["Readout", "largest", "readout_latency"]


def readout_latency(lanes: int) -> int:
    """Cycles from the last beat of a sample, of so many classes, to its result."""
    return Readout.LATENCY + (lanes - 1).bit_length()


class Readout(wiring.Component):
    """``logit = sum of bal over the steps``; ``class = argmax``, ties to the lowest index (numerics page, section 5).

    A beat a cycle; the result stands at the output ``latency`` cycles after the last beat, and until it is taken no
    beat is accepted: one cycle adds, one for each level of a tree finds the largest of the beat, one compares that with
    the largest so far.

    Parameters
    ----------
    n : int, >= 1
        Classes.
    lanes : int, 1..n
        Classes in a beat.
    steps : int, >= 1
        Time steps of a sample.
    bal, logit : Format

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from the last beat of a sample to its result, with a single lane.
    LATENCY = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, n: int, lanes: int, steps: int, bal: Format, logit: Format) -> None:
        if not 1 <= lanes <= n:
            raise ValueError(f"lanes of the readout must be 1..{n}, not {lanes}")
        if steps < 1:
            raise ValueError(f"steps of the readout must be at least 1, not {steps}")
        self._n, self._lanes, self._beats, self._steps = n, lanes, ceil_div(n, lanes), steps
        self._logit = logit
        #: Cycles from the last beat of a sample to its result.
        self.latency = readout_latency(lanes)
        super().__init__(
            {
                "i": In(stream.Signature(frame_layout(lanes, bal=bal))),
                "o": Out(stream.Signature(result_layout(n, logit))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        group = data.ArrayLayout(shape_of(self._logit), self._lanes)
        # The sums stand in a ring that turns by a group with each beat, and is home again after each frame.
        ring = [Signal(group, name=f"group{k}") for k in range(self._beats)]
        beat, step, taken, busy = Signal(index_of(self._beats)), Signal(index_of(self._steps)), Signal(), Signal()
        last_beat, last_step = beat == self._beats - 1, step == self._steps - 1
        m.d.comb += [self.i.ready.eq(~busy), taken.eq(self.i.valid & ~busy)]
        with m.If(taken):
            m.d.sync += [
                beat.eq(Mux(last_beat, 0, beat + 1)),
                busy.eq(last_beat & last_step),
                *(here.eq(following) for here, following in pairwise(ring)),
            ]
            for before, after, source in zip(ring[0], ring[-1], self.i.p, strict=True):
                m.d.sync += after.eq(Mux(step == 0, 0, before) + source.bal)
            with m.If(last_beat):
                m.d.sync += step.eq(Mux(last_step, 0, step + 1))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), busy.eq(0)]
        result: Any = self.o.p
        logits = [logit for part in ring for logit in part][: self._n]
        m.d.comb += [mine.eq(logit) for mine, logit in zip(result.logits, logits, strict=True)]

        delay, levels = pipeline(m, Const(1)), self.latency - self.LATENCY
        best = Signal(shape_of(self._logit))
        value, place = self._largest(ring[-1], delay(beat), delay)
        compare, first, finished = (
            delay(flag, 1 + levels, reset=True) for flag in (taken, beat == 0, taken & last_beat & last_step)
        )
        with m.If(compare & (first | (value > best))):
            m.d.sync += [best.eq(value), result["class"].eq(place)]
        with m.If(finished):
            m.d.sync += self.o.valid.eq(1)
        return m

    def _largest(self, group: Any, beat: Value, delay: Delay) -> tuple[Value, Value]:
        """The largest logit of a beat and its class, of equal ones the lowest; a cycle for each level of the tree."""
        fill = range(self._n - (self._beats - 1) * self._lanes, self._lanes)
        found: list[tuple[Value, Value]] = []
        for lane, logit in enumerate(group):
            # What fills up the last beat comes last, and is less than nothing: it is never chosen.
            value = Mux(beat == self._beats - 1, self._logit.min, logit) if lane in fill else logit
            found.append((value, beat * self._lanes + lane))
        return largest(found, delay)


def largest(values: Sequence[tuple[Value, Value]], delay: Delay, levels: int = 1) -> tuple[Value, Value]:
    """Of (value, class) the one with the largest value, of equal ones the first; so many levels of the tree a cycle."""
    while len(values) > 1:
        values = [(delay(value), delay(place)) for value, place in reduce_levels(values, _larger, levels)]
    return values[0]


def _larger(a: tuple[Value, Value], b: tuple[Value, Value]) -> tuple[Value, Value]:
    """Of two (value, class) the one with the larger value, of equal ones the first."""
    later = b[0] > a[0]
    return Mux(later, b[0], a[0]), Mux(later, b[1], a[1])
