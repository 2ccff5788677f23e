"""The readout: logits summed over the time steps of a sample, and the class with the largest."""

from itertools import pairwise
from typing import Any

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, index_of, result_layout, shape_of
from hw.packing import ceil_div
from quant.formats import Format

__all__ = ["Readout"]


class Readout(wiring.Component):
    """``logit = sum of bal over the steps``; ``class = argmax``, ties to the lowest index (numerics page, section 5).

    A beat a cycle; the result stands at the output one cycle after the last beat, and takes one cycle in which no
    beat is accepted.

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
    LATENCY = 1

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
        last_beat, last_step = beat == self._beats - 1, step == self._steps - 1
        m.d.comb += [self.i.ready.eq(~self.o.valid), taken.eq(self.i.valid & self.i.ready)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(taken):
            m.d.sync += [
                beat.eq(Mux(last_beat, 0, beat + 1)),
                self.o.valid.eq(last_beat & last_step),
                *(here.eq(following) for here, following in pairwise(ring)),
            ]
            for before, after, source in zip(ring[0], ring[-1], self.i.p, strict=True):
                m.d.sync += after.eq(Mux(step == 0, 0, before) + source.bal)
            with m.If(last_beat):
                m.d.sync += step.eq(Mux(last_step, 0, step + 1))
        result: Any = self.o.p
        logits = [logit for part in ring for logit in part][: self._n]
        m.d.comb += [mine.eq(logit) for mine, logit in zip(result.logits, logits, strict=True)]
        m.d.comb += result["class"].eq(_first_argmax(logits))
        return m


def _first_argmax(values: list[Value]) -> Value:
    """Index of the largest of signed or unsigned values, of equal ones the lowest, by a tree."""
    best: list[tuple[Value, Value]] = [(value, Const(k)) for k, value in enumerate(values)]
    while len(best) > 1:
        pairs = zip(best[::2], best[1::2], strict=False)
        odd = best[-1:] if len(best) % 2 else []
        # Of a pair, the left one has the lower index.
        best = [(Mux(b > a, b, a), Mux(b > a, j, i)) for (a, i), (b, j) in pairs] + odd
    return best[0][1]
