"""Proofs of queues: what is sent behind a pipeline always finds room, and nothing is taken that is not there."""

from typing import Any

from amaranth import Module, Signal
from amaranth.hdl import Assume, Elaboratable
from amaranth.lib import data

from hw.credits import CreditQueue
from hw.divisive import DivisiveInhibition
from hw.population import ROOM
from hw.stabiliser import Stabiliser
from quant.formats import Format
from sim.formal.proof import AnySeq, Bug, Inside, Proof, after_reset, claim
from sim.formal.transactions import claim_offers_stay, drive, passes

__all__ = ["PROOFS"]


class Credits(Elaboratable):
    """A pipeline of any latency that begins a beat only where there is room: the queue behind it takes each.

    What the registers inside are in terms of beats begun, arrived and taken makes it an induction.
    """

    def __init__(self, subject: Any, depth: int) -> None:
        self._depth = depth
        self._dut = subject(data.StructLayout({"byte": 8}), depth)
        self.pending, self.level = (Signal(range(depth + 1), name=name) for name in ("pending", "level"))
        self.full, self.taken, self.room = (Signal(name=name) for name in ("full", "taken", "room"))
        paths = {"pending": self.pending, "full": self.full, "taken": self.taken}
        paths |= {"beats.level": self.level, "beats.w_rdy": self.room}
        if depth > 1:
            self.inner, self.ready = Signal(range(depth), name="inner"), Signal(name="ready")
            paths |= {"beats.inner_level": self.inner, "beats.r_rdy": self.ready}
        self.insides = tuple(Inside(path, signal) for path, signal in paths.items())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self._dut
        after_reset(m)
        under_way, waiting = Signal(range(self._depth + 2)), Signal(range(self._depth + 2))
        m.d.comb += [dut.begun.eq(AnySeq(1)), dut.arrived.eq(AnySeq(1)), dut.o.ready.eq(AnySeq(1))]
        m.d.comb += dut.payload.as_value().eq(AnySeq(8))
        m.d.comb += Assume(~dut.begun | dut.room, "begun where there is room")
        m.d.comb += Assume(
            ~dut.arrived | (under_way != 0), "what arrives has begun"
        )  # a pipeline has a register at least
        taken = passes(dut.o)
        m.d.sync += [
            under_way.eq(under_way + dut.begun - dut.arrived),
            waiting.eq(waiting + dut.arrived - taken),
        ]
        claim_offers_stay(m, dut.o)
        claim(m, under_way + waiting <= self._depth, "no more beats than there is room for")
        claim(m, self.pending <= self._depth, "and no more are counted")
        claim(m, ~dut.arrived | self.room, "what arrives finds room")
        claim(m, ~dut.o.valid | (waiting != 0), "nothing is offered that has not arrived")
        claim(m, self.level == waiting, "the queue counts what waits")
        claim(m, self.pending == under_way + waiting + self.taken, "pending is what has begun and not left")
        claim(m, self.full == (self.pending == self._depth), "full says so")
        if self._depth > 1:
            claim(m, self.level == self.inner + self.ready, "a beat waits inside or at the output")
            claim(m, self.ready | (self.inner <= 1), "the output is filled first")
        return m


class Minima(Elaboratable):
    """The stabiliser's queue of minima, which nobody asks whether there is room."""

    def __init__(self, subject: Any, n: int) -> None:
        self._dut = subject(n=n, lanes=1, bal=Format(1), d=Format(2))
        self.en, self.room = Signal(name="en"), Signal(name="room")
        self.insides = (Inside("minima.w_en", self.en), Inside("minima.w_rdy", self.room))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self._dut
        after_reset(m)
        drive(m, dut.i)
        m.d.comb += dut.o.ready.eq(AnySeq(1))
        claim_offers_stay(m, dut.o)
        claim(m, ~self.en | self.room, "a minimum finds room")
        return m


#: Sizes in use: of the two population units and the window's stage, of the division, and of a window of one output.
DEPTHS = (ROOM, DivisiveInhibition.ROOM, 1)


def _credits(depth: int) -> Proof:
    return Proof(
        "neither over- nor underflow",
        f"CreditQueue, {depth} deep",
        CreditQueue,
        lambda subject: Credits(subject, depth),
        Bug("next_pending != self._depth", "next_pending != self._depth + 1"),
        mode="induction",
        depth=3,
        bug_depth=depth + 4,
    )


def _minima(n: int) -> Proof:
    return Proof(
        "neither queue overflows",
        f"Stabiliser, {n} beats a frame",
        Stabiliser,
        lambda subject: Minima(subject, n),
        Bug("width=self._d.width, depth=3", "width=self._d.width, depth=1"),
        depth=20,
    )


PROOFS = [*map(_credits, DEPTHS), _minima(1), _minima(2)]
