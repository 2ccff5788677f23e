"""Proofs of the stages that make events of neurons, currents of events, and one stream of several."""

from collections.abc import Callable
from typing import Any

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assume, Elaboratable

from hw.accumulator import SynapseAccumulator
from hw.encoder import EventEncoder
from hw.layouts import event_layout
from hw.routing import EventMerge
from hw.sample_gate import SampleGate
from hw.splitter import WordSplitter
from quant.formats import Format
from sim.formal.proof import AnyConst, AnySeq, Bug, Inside, Proof, after_reset, claim
from sim.formal.transactions import claim_offers_stay, drive, passes, silent
from sim.formal.wide import all_of, pick

__all__ = ["PROOFS"]

#: Steps, columns or frames that are looked at: the first so many.
MOST = 2


class _Numbered:
    """Which transaction is looked at, and whether it is the one that comes, or leaves."""

    def __init__(self, m: Module, came: Value, left: Value) -> None:
        number = Signal(range(MOST))
        self.came, self.left = (Signal(range(MOST + 1), name=name) for name in ("came", "left"))
        m.d.comb += number.eq(AnyConst(len(number)))
        for count, ended in ((self.came, came), (self.left, left)):
            with m.If(ended):
                m.d.sync += count.eq(count + (count != MOST))
        self.comes, self.leaves, self.whole = self.came == number, self.left == number, self.came > number


class Announcement(Elaboratable):
    """Each active place of a transaction of two beats becomes an event, once, in their order; then comes the marker.

    Parameters
    ----------
    dut : component
    legal : callable
        ``legal(p, beat)``: what an input beat, number ``beat`` of its transaction, is known to be.
    active : callable
        ``active(p, beat)``: which places it says are active.
    ends : callable
        ``ends(p, beat)``: whether it is the last one.
    event : callable
        The (index, value, last) of an output beat.
    places : int
    settles : int
        As of ``Transactions``.
    """

    def __init__(
        self,
        dut: Any,
        *,
        legal: Callable[[Any, Value], Value],
        active: Callable[[Any, Value], Value],
        ends: Callable[[Any, Value], Value],
        event: Callable[[Any], tuple[Value, Value, Value]],
        places: int,
        settles: int,
    ) -> None:
        self._dut, self._legal, self._active, self._ends, self._event = dut, legal, active, ends, event
        self._places, self._settles = places, settles

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self._dut
        after_reset(m)
        drive(m, dut.i)
        m.d.comb += dut.o.ready.eq(AnySeq(1))
        claim_offers_stay(m, dut.o)
        index, value, last = self._event(dut.o.p)
        taken, given, beat = passes(dut.i), passes(dut.o), Signal()
        m.d.comb += Assume(~dut.i.valid | self._legal(dut.i.p, beat), "the beat is legal")
        ended = taken & self._ends(dut.i.p, beat)
        numbered = _Numbered(m, ended, given & last)
        with m.If(taken):
            m.d.sync += beat.eq(Mux(ended, 0, beat + 1))
        active, seen = Signal(self._places), Signal(self._places)
        with m.If(taken & numbered.comes):
            m.d.sync += active.eq(active | self._active(dut.i.p, beat))
        looked_at = given & numbered.leaves
        with m.If(looked_at & ~last):
            m.d.sync += seen.eq(seen | (1 << index))
        claim(m, ~looked_at | last | (active.bit_select(index, 1) & (value == 1)), "an event is of an active place")
        claim(m, ~looked_at | last | (seen >> index == 0), "events come in order, each once")
        claim(m, ~looked_at | ~last | (numbered.whole & (seen == active)), "the marker comes when all have come")
        rests = silent(m, ~dut.i.valid & dut.o.ready, self._settles) & ~dut.i.valid & (beat == 0)
        claim(m, ~rests | ((numbered.came == numbered.left) & ~dut.o.valid), "as many end as began")
        return m


def _encoder(subject: Any) -> Announcement:
    """Three neurons, two at a time; the fourth is nobody, and silent."""

    def active(p: Any, beat: Value) -> Value:
        return Mux(beat == 0, Cat(p[0].spike, p[1].spike), p[0].spike << 2)

    return Announcement(
        subject(n=3, lanes=2, membrane=Format(4, signed=True)),
        legal=lambda p, beat: (beat == 0) | ~p[1].spike,
        active=active,
        ends=lambda p, beat: beat == 1,
        event=lambda p: (p.index, p.value, p.last),
        places=4,
        settles=9,
    )


def _splitter(subject: Any) -> Announcement:
    """Columns of two words of two inputs."""

    def active(p: Any, beat: Value) -> Value:
        return Cat(value.any() for value in p["values"]) << (beat << 1)

    return Announcement(
        subject(words=2, lanes=2, value_bits=1),
        legal=lambda p, beat: (p.word == beat) & (p.last == beat),
        active=active,
        ends=lambda p, beat: p.last,
        event=lambda p: (p.events[0].index, p.events[0].value, p.last),
        places=4,
        settles=9,
    )


class SynapseSums(Elaboratable):
    """The currents of a step are the sums of weights times values of its events, modulo their width.

    Three inputs, two E neurons and an I neuron, two bits for weights and values. The reset lasts until the products
    that are under way have left: they have no reset, and would be added to the first step's.
    """

    W: np.ndarray = np.array([[1, 2, 3], [3, 0, 1], [2, 1, 0]], np.uint8)
    CURRENT = Format(5)

    def __init__(self, subject: Any, lanes: int) -> None:
        self._dut = subject(
            w_ee=self.W[:2],
            w_ie=self.W[2:],
            synapse=Format(2),
            value_bits=2,
            i_ee=self.CURRENT,
            i_ie=self.CURRENT,
            lanes=lanes,
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self._dut
        after_reset(m, dut.latency)
        drive(m, dut.i)
        event, out = dut.i.p, dut.o.p
        m.d.comb += [dut.o.ready.eq(AnySeq(1)), Assume(event.index < 3, "an input that there is")]
        claim_offers_stay(m, dut.o)
        taken, given = passes(dut.i), passes(dut.o)
        numbered = _Numbered(m, taken & event.last, given)
        currents = [*out.i_ee, *out.i_ie]
        sums = [Signal(self.CURRENT.width, name=f"sum{n}") for n in range(3)]
        with m.If(taken & numbered.comes & ~event.last):
            for total, row in zip(sums, self.W.tolist(), strict=True):
                m.d.sync += total.eq(total + pick([Const(w) for w in row], event.index) * event.value)
        looked_at = given & numbered.leaves
        right = all_of(current == total for current, total in zip(currents, sums, strict=True))
        claim(m, ~looked_at | (numbered.whole & right), "the currents are the sums")
        rests = silent(m, ~dut.i.valid & dut.o.ready, 10) & ~dut.i.valid
        claim(m, ~rests | ((numbered.came == numbered.left) & ~dut.o.valid), "each step has its currents")
        return m


class Merged(Elaboratable):
    """Beats of two sources pass as they are: the first one's up to its marker, which ends here, then the second's."""

    def __init__(self, subject: Any) -> None:
        self._dut = subject(event=event_layout(4, 2), inputs=2)
        self.turn = Signal(name="turn_inside")
        self.insides = (Inside("turn", self.turn),)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self._dut
        after_reset(m)
        for source in dut.i:
            drive(m, source)
        m.d.comb += dut.o.ready.eq(AnySeq(1))
        claim_offers_stay(m, dut.o)
        first, second = dut.i
        turn = Signal()
        with m.If(passes(first) & first.p.last):
            m.d.sync += turn.eq(1)
        with m.If(passes(second) & second.p.last):
            m.d.sync += turn.eq(0)
        claim(m, turn == self.turn, "it is the turn of the source whose step is open")
        ends = passes(first) & first.p.last
        claim(m, ~(passes(first) & passes(second)), "one source at a time")
        claim(m, (~passes(first) | ~turn) & (~passes(second) | turn), "each in its turn")
        claim(m, passes(dut.o) == ((passes(first) & ~ends) | passes(second)), "all pass, but the first one's marker")
        payload = Mux(turn, second.p.as_value(), first.p.as_value())
        claim(m, ~passes(dut.o) | (dut.o.p.as_value() == payload), "as they are")
        return m


class Gated(Elaboratable):
    """Beats pass as they are; no sample of two steps begins after a cycle of ``hold``; at rest none is under way."""

    def __init__(self, subject: Any) -> None:
        self._dut = subject(beat=event_layout(2, 1), markers=2)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self._dut
        after_reset(m)
        drive(m, dut.i)
        under_way, inside, second, held = Signal(4), Signal(), Signal(), Signal()
        m.d.comb += [dut.o.ready.eq(AnySeq(1)), dut.hold.eq(AnySeq(1)), dut.finished.eq(AnySeq(1))]
        # Results are of samples whose last beat has passed.
        m.d.comb += Assume(~dut.finished | (under_way > inside), "results are of samples that came")
        claim_offers_stay(m, dut.o)
        passed = passes(dut.i)
        begins, marker = passed & ~inside, passed & dut.i.p.last
        offered = Signal()
        m.d.sync += [
            offered.eq(dut.o.valid & ~dut.o.ready),
            held.eq(dut.hold),
            under_way.eq(under_way + begins - dut.finished),
        ]
        with m.If(passed):
            m.d.sync += [inside.eq(~(marker & second)), second.eq(second ^ marker)]
        claim(m, passed == passes(dut.o), "what is taken passes")
        claim(m, ~dut.o.valid | (dut.o.p.as_value() == dut.i.p.as_value()), "as it is")
        claim(m, ~(dut.o.valid & ~inside & ~offered & held), "no sample begins while it is held")
        claim(m, ~dut.rest | ((under_way == 0) & ~inside & ~dut.o.valid), "at rest nothing is under way")
        return m


PROOFS = [
    Proof(
        "an event a spike, in order, then the marker; offers stay",
        "EventEncoder",
        EventEncoder,
        _encoder,
        Bug("~(closing | Cat(others).any())", "~closing"),
        depth=16,
    ),
    Proof(
        "an event a non-zero input, in order, then the marker; offers stay",
        "WordSplitter",
        WordSplitter,
        _splitter,
        Bug("matters = self.i.p.last | ", "matters = "),
        depth=12,
    ),
    Proof(
        "currents are the sums over the events of a step; offers stay",
        "SynapseAccumulator, 2 of 3 lanes",
        SynapseAccumulator,
        lambda subject: SynapseSums(subject, 2),
        Bug("issued.eq(queue.r_rdy & ~beat.last & ~waiting)", "issued.eq(queue.r_rdy & ~beat.last)"),
        depth=18,
    ),
    Proof(
        "all beats but the first one's markers, in their turn; offers stay",
        "EventMerge",
        EventMerge,
        Merged,
        Bug("turn.eq(k + 1 if", "turn.eq(k if"),
        mode="induction",
        depth=2,
        bug_depth=6,
    ),
    Proof(
        "beats pass as they are; rest and hold mean what they say; offers stay",
        "SampleGate",
        SampleGate,
        Gated,
        Bug("(next_inside | waits)", "next_inside"),
        depth=14,
    ),
]
