"""What all streams promise: an offer stays until it is taken, and what goes in comes out, once, in its order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth import Module, Signal, Value
from amaranth.hdl import Assume, Elaboratable
from amaranth.lib import data, stream

from sim.formal.proof import AnyConst, AnySeq, after_reset, claim

__all__ = ["Seen", "Spec", "Transactions", "claim_offers_stay", "drive", "passes", "silent"]


@dataclass(frozen=True)
class Seen:
    """The transaction that is looked at, as one of its beats leaves.

    Parameters
    ----------
    taken : sequence of payloads
        The beats that went in.
    given : payload
        The beat that leaves.
    beat : Value
        Its number in the transaction.
    before : sequence of payloads
        What the transaction before gave.
    number : Value
        Of the transaction.
    """

    taken: Sequence[Any]
    given: Any
    beat: Value
    before: Sequence[Any]
    number: Value


#: Says whether the beat that leaves is the right one.
Spec = Callable[[Seen], Any]


def passes(flow: Any) -> Value:
    """Whether a beat passes in this cycle."""
    return flow.valid & flow.ready


def _bits(flow: Any) -> Value:
    return Value.cast(flow.payload)


def _waiting(m: Module, flow: Any) -> tuple[Signal, Signal]:
    """Whether a beat was offered in the cycle before and not taken, and its bits."""
    waits, offered = Signal(name="waits"), Signal(len(_bits(flow)), name="offered")
    m.d.sync += [waits.eq(flow.valid & ~flow.ready), offered.eq(_bits(flow))]
    return waits, offered


def claim_offers_stay(m: Module, flow: Any) -> None:
    """Valid stays until ready comes, and so does the payload."""
    waits, offered = _waiting(m, flow)
    claim(m, ~waits | flow.valid, "an offer stays")
    claim(m, ~waits | (_bits(flow) == offered), "what is offered stays")


def drive(m: Module, flow: Any) -> None:
    """Any beats, at any time, into a stream; what is offered there stays, as it has to."""
    waits, offered = _waiting(m, flow)
    m.d.comb += [flow.valid.eq(AnySeq(1)), _bits(flow).eq(AnySeq(len(_bits(flow))))]
    m.d.comb += Assume(~waits | (flow.valid & (_bits(flow) == offered)), "an offer stays")


def silent(m: Module, still: Value, cycles: int) -> Value:
    """Whether it has been ``still`` for so many cycles."""
    count = Signal(range(cycles + 1), name="silent")
    m.d.sync += count.eq(0)
    with m.If(still):
        m.d.sync += count.eq(count + (count != cycles))
    return count == cycles


class Transactions(Elaboratable):
    """A subject that gives ``gives`` beats for every ``takes`` that it takes: each the right one, and none too many.

    One transaction is looked at, any of them: its beats are kept as they go in, and what comes out is compared with
    the specification. If beats were lost, doubled or in another order, then some transaction would get another's. What
    is in the subject has left when the taker was ready, and the giver silent, for ``settles`` cycles.

    Parameters
    ----------
    dut : component
        With a stream ``i`` and a stream ``o``, or several of them that get the same.
    spec : Spec
    settles : int
        Cycles from the last beat in to the last beat out, and a few more.
    most : int
        Transactions that are looked at: the first so many.
    """

    def __init__(self, dut: Any, spec: Spec, *, settles: int, takes: int = 1, gives: int = 1, most: int = 16) -> None:
        self._dut, self._spec, self._settles, self._takes, self._gives = dut, spec, settles, takes, gives
        self._most = most

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self._dut
        after_reset(m)
        drive(m, dut.i)
        number = Signal(range(self._most))
        m.d.comb += number.eq(AnyConst(len(number)))
        came, beat_in = self._count(m, passes(dut.i), self._takes)
        # A beat counts from when it is offered: it stays, and may be passed on at once.
        here = dut.i.valid & (came == number)
        taken = [self._kept(m, dut.i, here & (beat_in == k)) for k in range(self._takes)]
        for o in [dut.o] if isinstance(dut.o, stream.Interface) else dut.o:
            m.d.comb += o.ready.eq(AnySeq(1))
            claim_offers_stay(m, o)
            left, beat_out = self._count(m, passes(o), self._gives)
            earlier = passes(o) & (left + 1 == number)
            before = [self._kept(m, o, earlier & (beat_out == k)) for k in range(self._gives)]
            is_right = self._spec(Seen(taken, o.p, beat_out, before, number))
            claim(m, ~passes(o) | (left != number) | is_right, "the beat is the right one")
            rests = silent(m, ~dut.i.valid & o.ready, self._settles) & ~dut.i.valid & (beat_in == 0)
            claim(m, ~rests | ((came == left) & (beat_out == 0) & ~o.valid), "as many come out as went in")
        return m

    def _kept(self, m: Module, flow: Any, when: Value) -> Any:
        """The beat that is there then, from that cycle on."""
        kept, now = Signal(len(_bits(flow)), name="kept"), Signal(len(_bits(flow)), name="now")
        m.d.comb += now.eq(kept)
        with m.If(when):
            m.d.comb += now.eq(_bits(flow))
            m.d.sync += kept.eq(now)
        shape = flow.payload.shape()
        return data.View(shape, now) if isinstance(shape, data.Layout) else now

    def _count(self, m: Module, passed: Value, beats: int) -> tuple[Signal, Signal]:
        """Whole transactions that have passed, up to ``most``, and beats of the one under way."""
        whole, beat = Signal(range(self._most + 1)), Signal(range(max(2, beats)))
        with m.If(passed):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == beats - 1):
                m.d.sync += [beat.eq(0), whole.eq(whole + (whole != self._most))]
        return whole, beat
