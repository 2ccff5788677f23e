"""Proofs of the reciprocal: within its bound for every denominator, and never larger for a larger one."""

from collections.abc import Callable
from typing import Any

from amaranth import Const, Value, signed

from hw.reciprocal import ReciprocalUnit
from quant.formats import Format
from quant.reciprocal import Reciprocal
from sim.formal.proof import Bug, Proof
from sim.formal.transactions import Seen, Transactions

__all__ = ["PROOFS"]

#: The default, the smallest that loses nothing (docs/results.md), one without an index, and a large one.
TABLES = [Reciprocal(4, 8), Reciprocal(2, 5), Reciprocal(0, 2), Reciprocal(6, 10)]
#: Of a denominator.
D = Format(16)


def within_bound(table: Reciprocal) -> Callable[[Seen], Value]:
    """``|R d / 2**(p + e) - 1| <= 1 / (2**(k + 1) + 1) + 2**-p``, multiplied by all denominators; ``R`` of 0 is 0.

    ``2**e`` is the largest power of two that is not above ``d``.
    """
    steps, unit = (2 << table.index_bits) + 1, 1 << table.bits

    def spec(seen: Seen) -> Value:
        d, r = seen.taken[0][0].d, seen.given[0].r
        power = Const(1, D.width + 1) << seen.given[0].e
        error = (r * d).as_unsigned() + Const(0, signed(2)) - (power << table.bits)
        room = power * (unit + steps)
        scaled = error * steps
        bounded = (power <= d) & (d < power << 1) & (scaled <= room) & (-scaled <= room)
        return (d == 0) & (r == 0) | (d != 0) & bounded

    return spec


def monotone(seen: Seen) -> Value:
    """Of the two denominators of a beat the larger one has the smaller reciprocal, or an equal one."""
    small, large = seen.taken[0]
    a, b = (lane.r << (D.width - 1 - lane.e)[:4] for lane in seen.given)
    return (small.d == 0) | (small.d > large.d) | (a >= b)


def _unit(subject: Any, table: Reciprocal, lanes: int) -> Any:
    return subject(lanes=lanes, bal=Format(1), d=D, reciprocal=table)


def _proofs(table: Reciprocal) -> tuple[Proof, Proof]:
    name = f"ReciprocalUnit, {1 << table.index_bits} entries of {table.bits} bits"
    turned = Bug("init=table)", "init=table[::-1])")
    misplaced = Bug("Cat(any_above, place)", "Cat(any_above & ~d[5], place)")
    return (
        Proof(
            "within its bound for every d of 16 bits",
            name,
            ReciprocalUnit,
            lambda subject: Transactions(_unit(subject, table, 1), within_bound(table), settles=9, most=2),
            Bug("any_above = (x >> (width - half)).any()", "any_above = (x >> (width - half))[1:].any()"),
            depth=9,
        ),
        Proof(
            "monotone",
            name,
            ReciprocalUnit,
            lambda subject: Transactions(_unit(subject, table, 2), monotone, settles=9, most=2),
            turned if table.index_bits else misplaced,
            depth=9,
        ),
    )


PROOFS = [proof for table in TABLES for proof in _proofs(table)]
