"""Proofs of the LIF core: it computes what section 4 of the numerics page says, for all currents and potentials.

A sample begins at a potential of 0, and two steps lead from there to every code of the format (the tests count them):
the third one is computed from all of them.
"""

from collections.abc import Sequence
from typing import Any

from amaranth import Mux, Value

from hw.lif import LIFCore
from quant.formats import Format
from sim.formal.proof import Bug, Proof
from sim.formal.transactions import Transactions
from sim.formal.wide import clamp, pick, wide

__all__ = ["PROOFS"]


def specified(
    currents: Sequence[Value], membrane: Format, *, theta: int, tau_shift: int, leak: int, reset: str
) -> list[tuple[Value, Value]]:
    """(potential, spike) of a neuron after each of the currents of a sample."""
    v: Value = wide(Value.cast(0))
    results = []
    for current in currents:
        u = wide(v) - (leak * wide(v) >> tau_shift) + wide(current)
        if reset == "delayed":
            u = u - Mux(v >= theta, theta, 0)
        s = u >= theta
        left = {"subtract": u - Mux(s, theta, 0), "zero": Mux(s, 0, u), "delayed": u}[reset]
        v = Value.cast(clamp(left, membrane))[: membrane.width].as_signed()
        results.append((v, s))
    return results


def _core(subject: Any, membrane: Format, n: int, steps: int, **options: Any) -> Transactions:
    def spec(taken: Sequence[Any], given: Any, beat: Value) -> Value:
        neurons = [specified([beat[0].current for beat in taken[k::n]], membrane, **options) for k in range(n)]
        results = [neurons[k % n][k // n] for k in range(n * steps)]
        return (given[0].v == pick([v for v, _ in results], beat)) & (
            given[0].spike == pick([s for _, s in results], beat)
        )

    core = subject(n=n, lanes=1, steps=steps, membrane=membrane, **options)
    return Transactions(core, spec, takes=n * steps, gives=n * steps, settles=5, most=2)


S10_6, S24_16, S6_2 = (Format.parse(name) for name in ("s10.6", "s24.16", "s6.2"))
DEFAULT: dict[str, Any] = {"theta": 64, "tau_shift": 1, "leak": 1, "reset": "subtract"}
#: Format, neurons, steps, and the rest.
CORES: list[tuple[Format, int, int, dict[str, Any]]] = [
    (S10_6, 1, 3, DEFAULT),
    (S10_6, 1, 3, {"theta": 64, "tau_shift": 3, "leak": 5, "reset": "zero"}),
    (S10_6, 1, 3, {"theta": 100, "tau_shift": 2, "leak": 1, "reset": "delayed"}),
    (S24_16, 1, 3, {**DEFAULT, "theta": 1 << 16}),
    (S6_2, 2, 2, {**DEFAULT, "theta": 4}),
]


def _name(membrane: Format, n: int, reset: str) -> str:
    return f"LIFCore {membrane}, {reset}, {n} neuron{'s' if n > 1 else ''}"


PROOFS = [
    Proof(
        "potentials and spikes are the specified ones",
        _name(membrane, n, options["reset"]),
        LIFCore,
        lambda subject, membrane=membrane, n=n, steps=steps, options=options: _core(
            subject, membrane, n, steps, **options
        ),
        Bug("[: self._membrane.width + 1]", "[: self._membrane.width]")
        if n == 1
        else Bug("conflict = Cat(other.valid & (other.beat == beat)", "conflict = Cat(other.valid & (other.beat != beat)"),
        depth=12,
    )
    for membrane, n, steps, options in CORES
]
