"""Proofs of the stabiliser: zero denominators become the smallest non-zero one of their frame, others stay."""

from functools import reduce

from amaranth import Mux, Value

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


#: Neurons and lanes: a beat a frame, several, and more lanes than the last beat has neurons.
SHAPES = ((1, 1), (2, 1), (3, 2), (3, 3))

PROOFS = [
    Proof(
        "the smallest non-zero d for each that is zero; all beats, in order",
        f"Stabiliser, {n} neurons, {lanes} a beat",
        Stabiliser,
        lambda subject, n=n, lanes=lanes: Transactions(
            subject(n=n, lanes=lanes, bal=BAL, d=D),
            _stabilised,
            takes=-(-n // lanes),
            gives=-(-n // lanes),
            settles=12,
            most=2,
        ),
        Bug("so_far.eq(Mux(lasts[-1], -1, smallest))", "so_far.eq(smallest)"),
        depth=17,
    )
    for n, lanes in SHAPES
]
