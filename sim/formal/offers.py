"""Proofs of the stages whose values are only co-simulated: at least, what they offer stays until it is taken."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from amaranth import Module
from amaranth.hdl import Elaboratable

from hw.frames import FrameReceiver, FrameTransmitter, SlipEncoder
from hw.geometry import Walk
from hw.placer import EventPlacer
from hw.scanner import MapScanner
from hw.window_accumulator import WindowAccumulator
from quant.formats import Format
from quant.maps import Window
from sim.formal.proof import AnySeq, Bug, Proof, after_reset
from sim.formal.transactions import claim_offers_stay, drive

__all__ = ["PROOFS"]

#: A window of 1 by 2 over three pixels of two channels.
WALK = Walk((1, 3, 2), (1, 1), Window((1, 2), (1, 1), (0, 0)))
#: The same, of two time steps that are gathered together.
TWO_STEPS = replace(WALK, steps=2)
#: Instead of a queue's stream, its output in the cycle in which it comes.
_FORGETFUL = """m.d.comb += [
            self.o.valid.eq(finished.o.valid),
            self.o.p.as_value().eq(finished.o.p.as_value()),
            finished.o.ready.eq(1),
        ]"""


class Offers(Elaboratable):
    """Any beats in, a taker that pauses at will: what the subject offers stays."""

    def __init__(self, dut: Any) -> None:
        self._dut = dut

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self._dut
        after_reset(m)
        drive(m, dut.i)
        m.d.comb += dut.o.ready.eq(AnySeq(1))
        claim_offers_stay(m, dut.o)
        return m


def _proof(component: Any, make: Callable[[Any], Any], bug: Bug, depth: int) -> Proof:
    return Proof("offers stay", component.__name__, component, lambda subject: Offers(make(subject)), bug, depth)


def _map_proof(component: Any, walk: Walk, bug: Bug, depth: int, **bits: int) -> Proof:
    return _proof(component, lambda subject: subject(walk=walk, **bits), bug, depth)


_STILL = Bug("out_advance.eq(self.o.ready | ~self.o.valid)", "out_advance.eq(1)")
_COUNTING = Bug("self._step(m, advance & valid[1] & last[1])", "self._step(m, valid[1] & last[1])")

PROOFS = [
    _map_proof(EventPlacer, WALK, Bug("read.en.eq(advance)", "read.en.eq(1)"), depth=12, value_bits=2),
    _map_proof(EventPlacer, TWO_STEPS, _COUNTING, depth=12, value_bits=2),
    _map_proof(MapScanner, WALK, _STILL, depth=14, value_bits=1, sum_bits=2),
    _map_proof(MapScanner, TWO_STEPS, _STILL, depth=16, value_bits=1, sum_bits=2),
    _proof(
        WindowAccumulator,
        lambda subject: subject(
            walk=WALK,
            w_ee=np.array([[1, 2, 3, 0]], np.uint8),
            w_ie=np.array([[2, 1, 1, 3]], np.uint8),
            synapse=Format(2),
            value_bits=1,
            i_ee=Format(4),
            i_ie=Format(4),
            lanes=2,
        ),
        Bug("wiring.connect(m, finished.o, wiring.flipped(self.o))", _FORGETFUL),
        depth=16,
    ),
    _proof(
        SlipEncoder,
        lambda subject: subject(),
        Bug("m.d.comb += self.o.valid.eq(self.i.valid)", "m.d.comb += self.o.valid.eq(self.i.valid ^ self.o.ready)"),
        depth=10,
    ),
    _proof(
        FrameTransmitter,
        lambda subject: subject(),
        Bug("crc.crc.word_select(behind, 8)", "crc.crc.word_select(behind ^ self.o.ready, 8)"),
        depth=12,
    ),
    _proof(
        FrameReceiver,
        lambda subject: subject(capacity=2, window=2),
        Bug("headers.r_en.eq(self.o.ready)", "headers.r_en.eq(1)"),
        depth=20,
    ),
]
