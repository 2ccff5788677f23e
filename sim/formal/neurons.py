"""Proofs of the LIF core: it computes what section 4 of the numerics page says, for all currents and potentials.

A sample begins at a potential of 0, and two steps lead from there to every code of the format (the tests count them):
the third one is computed from all of them.
"""

from typing import Any

from amaranth import Mux, Value

from hw.lif import LIFCore
from quant.formats import Format
from sim.formal.proof import Bug, Proof
from sim.formal.transactions import Seen, Transactions
from sim.formal.wide import all_of, clamp, pick, wide

__all__ = ["PROOFS"]


def specified(
    v: Value, current: Value, membrane: Format, *, theta: int, tau_shift: int, leak: int, reset: str
) -> tuple[Value, Value]:
    """(potential, spike) of a neuron after a current."""
    v = wide(v)
    u = v - (leak * v >> tau_shift) + wide(current)
    if reset == "delayed":
        u = u - Mux(v >= theta, theta, 0)
    s = u >= theta
    left = {"subtract": u - Mux(s, theta, 0), "zero": Mux(s, 0, u), "delayed": u}[reset]
    return clamp(left, membrane), s


def _core(subject: Any, membrane: Format, n: int, **options: Any) -> Transactions:
    """A frame after the other; the potential before it is what came out with the frame before, or 0."""

    def spec(seen: Seen) -> Value:
        begins = all_of([seen.number != first for first in range(0, MOST, STEPS)]) == 0
        before = pick([part[0].v for part in seen.before], seen.beat)
        v, s = specified(
            Mux(begins, 0, before), pick([part[0].current for part in seen.taken], seen.beat), membrane, **options
        )
        return (seen.given[0].v == v) & (seen.given[0].spike == s)

    core = subject(n=n, lanes=1, steps=STEPS, membrane=membrane, **options)
    return Transactions(core, spec, takes=n, gives=n, settles=5, most=MOST)


#: Steps of a sample, and frames that are looked at: the first so many.
STEPS, MOST = 3, 4
S10_6, S6_2 = Format.parse("s10.6"), Format.parse("s6.2")
DEFAULT: dict[str, Any] = {"theta": 64, "tau_shift": 1, "leak": 1, "reset": "subtract"}
#: Format, neurons, and the rest.
CORES: list[tuple[Format, int, dict[str, Any]]] = [
    (S10_6, 1, DEFAULT),
    (S10_6, 1, {"theta": 64, "tau_shift": 3, "leak": 5, "reset": "zero"}),
    (S10_6, 1, {"theta": 100, "tau_shift": 2, "leak": 1, "reset": "delayed"}),
    (S6_2, 2, {**DEFAULT, "theta": 4}),
]


def _proof(membrane: Format, n: int, options: dict[str, Any]) -> Proof:
    return Proof(
        "potentials and spikes are the specified ones",
        f"LIFCore {membrane}, {options['reset']}, {n} neuron{'s' if n > 1 else ''}",
        LIFCore,
        lambda subject: _core(subject, membrane, n, **options),
        _TOO_NARROW if n == 1 else _MISPLACED,
        depth=14,
    )


_TOO_NARROW = Bug("[: self._membrane.width + 1]", "[: self._membrane.width]")
_MISPLACED = Bug("write.addr.eq(under_way[1].beat)", "write.addr.eq(under_way[0].beat)")

PROOFS = [_proof(*core) for core in CORES]
