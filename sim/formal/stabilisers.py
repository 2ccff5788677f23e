"""Proofs of the stabiliser: zero denominators become the smallest non-zero one of their frame, others stay."""

from functools import reduce

from amaranth import Mux, Value

from hw.packing import ceil_div
from hw.stabiliser import Stabiliser
from quant.formats import Format
from sim.formal.proof import Bug, Proof
from sim.formal.transactions import Seen, Transactions
from sim.formal.wide import all_of, pick

__all__ = ["PROOFS"]

BAL, D = Format(2, signed=True), Format(4)


def _less(a: Value, b: Value) -> Value:
    """The smaller one of two, if it is not zero."""
    return Mux((a == 0) | ((b != 0) & (b < a)), b, a)


def _stabilised(seen: Seen) -> Value:
    smallest = reduce(_less, [neuron.d for part in seen.taken for neuron in part])
    return all_of(
        (after.bal == pick([part[lane].bal for part in seen.taken], seen.beat))
        & (after.d == pick([Mux(part[lane].d == 0, smallest, part[lane].d) for part in seen.taken], seen.beat))
        for lane, after in enumerate(seen.given)
    )


def _proof(n: int, lanes: int) -> Proof:
    beats = ceil_div(n, lanes)
    return Proof(
        "the smallest non-zero d for each that is zero; all beats, in order",
        f"Stabiliser, {n} neurons, {lanes} a beat",
        Stabiliser,
        lambda subject: Transactions(
            subject(n=n, lanes=lanes, bal=BAL, d=D), _stabilised, takes=beats, gives=beats, settles=12, most=2
        ),
        Bug("so_far.eq(Mux(lasts[-1], -1, smallest))", "so_far.eq(smallest)"),
        depth=17,
    )


#: A beat a frame, several, one whose last beat is not full, and all neurons at once.
PROOFS = [_proof(1, 1), _proof(2, 1), _proof(3, 2), _proof(3, 3)]
