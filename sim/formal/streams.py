"""Proofs of the stages of a layer: each beat is the right one, none is lost, doubled or late, and offers stay."""

from typing import Any

import numpy as np
from amaranth import Const, Mux
from amaranth.lib import data

from hw.divisive import DivisiveInhibition
from hw.floor import FloorStabiliser
from hw.global_inhibition import GlobalInhibition
from hw.population import PopulationUnit
from hw.readout import Readout
from hw.replay import Replay
from hw.routing import EventFork
from hw.scaling import Scaling
from hw.serialiser import Serialiser
from hw.skid import Skid
from quant.formats import Format
from quant.reciprocal import Reciprocal
from sim.formal.proof import Bug, Proof
from sim.formal.transactions import Seen, Transactions
from sim.formal.wide import all_of, clamp, pick, reciprocal_of, rounded, wide

__all__ = ["PROOFS"]

PROPERTY = "the right beats, all, once, in order; offers stay"
BYTE = data.StructLayout({"byte": 8})
U3, U4, S3, S4 = Format(3), Format(4), Format(3, signed=True), Format(4, signed=True)
MEMBRANE = Format(5, 2, signed=True)
#: Of a layer of two E and two I neurons.
W_EI, G_I = np.array([[1, 3], [2, 0]], np.uint8), np.array([1, 3], np.uint8)
G_E, B_E = (3, 2), (-1, 5)


def _copy(seen: Seen) -> Any:
    return seen.taken[0].as_value() == seen.given.as_value()


def _floored(seen: Seen) -> Any:
    return all_of(
        (after.bal == before.bal) & (after.d == Mux(before.d > 3, before.d, 3))
        for before, after in zip(seen.taken[0], seen.given, strict=True)
    )


def _serial(seen: Seen) -> Any:
    neurons = [5 * wide(current) for current in seen.taken[0].i_ee] + [Const(0)]
    return all_of(seen.given[lane].bal == pick(neurons[lane::2], seen.beat) for lane in range(2))


def _again(seen: Seen) -> Any:
    return seen.given.as_value() == pick([part.as_value() for part in seen.taken] * 2, seen.beat)


def _scaled(seen: Seen) -> Any:
    currents = [
        clamp(rounded(g * wide(part[0].bal), 1) + b, MEMBRANE) for part, g, b in zip(seen.taken, G_E, B_E, strict=True)
    ]
    return seen.given[0].current == pick(currents, seen.beat)


def _shunted(seen: Seen) -> Any:
    currents = []
    for part, g, b in zip(seen.taken, G_E, B_E, strict=True):
        r, e = reciprocal_of(part[0].d, Reciprocal(1, 3))
        currents.append(clamp(rounded(g * wide(part[0].bal) * wide(r), 2 + e) + b, MEMBRANE))
    return seen.given[0].current == pick(currents, seen.beat)


def _inhibited(w_ei: np.ndarray, seen: Seen) -> Any:
    i_ee, i_ie = ([wide(current) for current in part] for part in (seen.taken[0].i_ee, seen.taken[0].i_ie))
    rows = w_ei.tolist()
    bal = [2 * i_ee[n] - (row[0] * i_ie[0] + row[1] * i_ie[1]) for n, row in enumerate(rows)]
    d = [row[0] * int(G_I[0]) * i_ie[0] + row[1] * int(G_I[1]) * i_ie[1] for row in rows]
    return (seen.given[0].bal == pick(bal, seen.beat)) & (seen.given[0].d == pick(d, seen.beat))


def _result(seen: Seen) -> Any:
    logits = [wide(seen.taken[n // 2][n % 2].bal) + wide(seen.taken[2 + n // 2][n % 2].bal) for n in range(3)]
    best = Mux((logits[1] > logits[0]) & (logits[1] >= logits[2]), 1, Mux(logits[2] > logits[0], 2, 0))
    return all_of(logit == value for logit, value in zip(seen.given.logits, logits, strict=True)) & (
        seen.given["class"] == best
    )


def _population(w_ei: np.ndarray) -> dict[str, Any]:
    lanes = {"population_lanes": 1, "neuron_lanes": 1, "inhibition_bits": 2, "gain_i_bits": 2}
    formats = {"i_ee": Format(2), "i_ie": Format(2), "bal": Format(7, signed=True), "d": Format(6)}
    return {"w_ei": w_ei, "a": 2, "g_i": G_I, **lanes, **formats}


ALIKE = W_EI[[0, 0]]
NEURONS: dict[str, Any] = {"lanes": 1, "g_e": G_E, "b_e": B_E, "gain_e_bits": 2, "membrane": MEMBRANE}

PROOFS = [
    Proof(
        PROPERTY,
        "Skid",
        Skid,
        lambda subject: Transactions(subject(BYTE), _copy, settles=4),
        Bug("is_aside.eq(0)", "is_aside.eq(self.i.valid & is_aside)"),
        depth=14,
    ),
    Proof(
        PROPERTY,
        "EventFork",
        EventFork,
        lambda subject: Transactions(subject(event=BYTE, outputs=2), _copy, settles=2),
        Bug("had.eq(Mux(self.i.ready, 0, has))", "had.eq(Mux(self.i.ready, 0, had))"),
        depth=12,
    ),
    Proof(
        PROPERTY,
        "FloorStabiliser",
        FloorStabiliser,
        lambda subject: Transactions(subject(lanes=2, bal=S4, d=U4, floor=3), _floored, settles=3),
        Bug("self.i.ready.eq(advance)", "self.i.ready.eq(1)"),
        depth=12,
    ),
    Proof(
        PROPERTY,
        "Serialiser",
        Serialiser,
        lambda subject: Transactions(
            subject(n=3, lanes=2, a=5, i_ee=U3, bal=Format(6)), _serial, gives=2, settles=5, most=8
        ),
        Bug("(last & advance)", "last"),
        depth=14,
    ),
    Proof(
        PROPERTY,
        "Replay",
        Replay,
        lambda subject: Transactions(
            subject(n=2, lanes=1, current=S4, times=2), _again, takes=2, gives=4, settles=6, most=4
        ),
        Bug("write.addr.eq(beat)", "write.addr.eq(next_beat)"),
        depth=16,
    ),
    Proof(
        PROPERTY,
        "Scaling",
        Scaling,
        lambda subject: Transactions(
            subject(**NEURONS, shift=1, bal=S4, product=Format(6, signed=True)), _scaled, takes=2, gives=2, settles=5
        ),
        Bug("taken.eq(self.i.valid & self.i.ready)", "taken.eq(self.i.valid)"),
        depth=13,
    ),
    Proof(
        PROPERTY,
        "DivisiveInhibition",
        DivisiveInhibition,
        lambda subject: Transactions(
            subject(**NEURONS, shift=2, reciprocal=Reciprocal(1, 3), bal=S3, d=U3, product=Format(8, signed=True)),
            _shunted,
            takes=2,
            gives=2,
            settles=23,
            most=4,
        ),
        Bug("b_e=delay(own.b_e, 9)", "b_e=delay(own.b_e, 8)"),
        depth=27,
    ),
    Proof(
        PROPERTY,
        "PopulationUnit",
        PopulationUnit,
        lambda subject: Transactions(
            subject(**_population(W_EI)),
            lambda seen: _inhibited(W_EI, seen),
            gives=2,
            settles=16,
            most=4,
        ),
        Bug("issued.first.eq(chunk == 0)", "issued.first.eq(word == 0)"),
        depth=19,
    ),
    Proof(
        PROPERTY,
        "GlobalInhibition",
        GlobalInhibition,
        lambda subject: Transactions(
            subject(**_population(ALIKE)),
            lambda seen: _inhibited(ALIKE, seen),
            gives=2,
            settles=18,
            most=4,
        ),
        Bug("delay(delay(multiple(current, value_of(self._a))) - ", "delay(multiple(current, value_of(self._a)) - "),
        depth=22,
    ),
    Proof(
        PROPERTY,
        "Readout",
        Readout,
        lambda subject: Transactions(
            subject(n=3, lanes=2, steps=2, bal=S3, logit=S4), _result, takes=4, settles=6, most=4
        ),
        Bug("b[0] > a[0]", "b[0] >= a[0]"),
        depth=14,
    ),
]
