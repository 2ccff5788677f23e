"""The readout: logits summed over the time steps of a sample, and the class with the largest."""

from itertools import pairwise
from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, index_of, result_layout, shape_of
from hw.packing import ceil_div
from hw.product import tree
from quant.formats import Format

__all__ = ["Readout"]


class Readout(wiring.Component):
    """``logit = sum of bal over the steps``; ``class = argmax``, ties to the lowest index (numerics page, section 5).

    A beat a cycle; the result stands at the output two cycles after the last beat, during which no beat is accepted:
    one adds, one compares with the largest so far.

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

    #: Cycles from the last beat of a sample to its result.
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
        beat, step, taken = Signal(index_of(self._beats)), Signal(index_of(self._steps)), Signal()
        finishing = Signal()  # the last beat has been added, and is being compared
        last_beat, last_step = beat == self._beats - 1, step == self._steps - 1
        compare, compared_beat = Signal(), Signal(index_of(self._beats))
        m.d.comb += [
            self.i.ready.eq(~finishing & ~self.o.valid),
            taken.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += [compare.eq(taken), compared_beat.eq(beat), finishing.eq(taken & last_beat & last_step)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(finishing):
            m.d.sync += self.o.valid.eq(1)
        with m.If(taken):
            m.d.sync += [
                beat.eq(Mux(last_beat, 0, beat + 1)),
                *(here.eq(following) for here, following in pairwise(ring)),
            ]
            for before, after, source in zip(ring[0], ring[-1], self.i.p, strict=True):
                m.d.sync += after.eq(Mux(step == 0, 0, before) + source.bal)
            with m.If(last_beat):
                m.d.sync += step.eq(Mux(last_step, 0, step + 1))
        result: Any = self.o.p
        logits = [logit for part in ring for logit in part][: self._n]
        m.d.comb += [mine.eq(logit) for mine, logit in zip(result.logits, logits, strict=True)]
        best = Signal(shape_of(self._logit))
        largest, place = self._largest(ring[-1], compared_beat, best, result["class"])
        with m.If(compare):
            m.d.sync += [best.eq(largest), result["class"].eq(place)]
        return m

    def _largest(self, group: Any, beat: Value, best: Value, place: Value) -> tuple[Value, Value]:
        """The largest logit of the beat and those before it in the frame, and its class; of equal ones the lowest."""
        fill = range(self._n - (self._beats - 1) * self._lanes, self._lanes)
        found: list[tuple[Value, Value]] = []
        for lane, logit in enumerate(group):
            # What fills up the last beat comes last, and is less than nothing: it is never chosen.
            value = Mux(beat == self._beats - 1, self._logit.min, logit) if lane in fill else logit
            found.append((value, beat * self._lanes + lane))
        first = beat == 0
        found.insert(0, (Mux(first, self._logit.min, best), Mux(first, 0, place)))
        return tree(found, _larger)


def _larger(a: tuple[Value, Value], b: tuple[Value, Value]) -> tuple[Value, Value]:
    """Of two (value, class) the one with the larger value, of equal ones the first."""
    return Mux(b[0] > a[0], b[0], a[0]), Mux(b[0] > a[0], b[1], a[1])
