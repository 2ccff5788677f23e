"""The reciprocal table: entries, and the proven bound on the relative error."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quant.exact import reciprocal as torch_reciprocal
from quant.reciprocal import Reciprocal

TABLES = [Reciprocal(k, p) for k in (0, 1, 2, 4, 6, 8, 12) for p in (k + 2, k + 4, 24) if p <= 24]
tables = st.integers(0, 12).flatmap(lambda k: st.builds(Reciprocal, st.just(k), st.integers(k + 2, 24)))


def _worst(r: Reciprocal, d: np.ndarray) -> float:
    """Largest relative error of table entries and exponents, computed in float64 from integers."""
    exponent = np.frexp(d.astype(np.float64))[1] - 1
    index = ((d << r.index_bits) >> exponent) - (1 << r.index_bits)
    approximation = np.array(r.table)[index] * d / 2.0 ** (r.bits + exponent)
    return float(np.abs(approximation - 1).max())


@pytest.mark.parametrize("r", TABLES, ids=str)
def test_bound_for_every_denominator_of_16_bits(r: Reciprocal) -> None:
    assert _worst(r, np.arange(1, 1 << 16)) <= r.error_bound


@given(r=tables, d=st.integers(1, (1 << 52) - 1))
def test_bound_at_random_above(r: Reciprocal, d: int) -> None:
    approximation = Fraction(r.entry(d), 2 ** (r.bits + r.exponent(d)))
    assert abs(approximation * d - 1) <= Fraction(r.error_bound) + Fraction(1, 2**50)


@pytest.mark.parametrize("r", TABLES, ids=str)
def test_the_bound_is_no_wider_than_it_must_be(r: Reciprocal) -> None:
    assert _worst(r, np.arange(1, 1 << 16)) > 0.5 * r.error_bound


@given(r=tables)
def test_entries_are_rounded_to_nearest_and_use_all_bits(r: Reciprocal) -> None:
    for index, entry in enumerate(r.table):
        exact = Fraction(2**r.bits) / (1 + Fraction(2 * index + 1, 2 ** (r.index_bits + 1)))
        assert abs(entry - exact) < Fraction(1, 2), index
        assert 1 << (r.bits - 1) <= entry < 1 << r.bits


@given(r=tables, values=st.lists(st.integers(1, (1 << 52) - 1), min_size=1, max_size=20))
def test_torch_finds_the_same_entry_and_exponent(r: Reciprocal, values: list[int]) -> None:
    entry, exponent = torch_reciprocal(torch.tensor(values, dtype=torch.float64), r)
    assert entry.tolist() == [r.entry(d) for d in values]
    assert exponent.tolist() == [r.exponent(d) for d in values]


@pytest.mark.parametrize(
    ("index_bits", "bits", "message"),
    [
        (-1, 8, "index_bits .* must be 0..12"),
        (13, 20, "index_bits .* must be 0..12"),
        (4, 5, "must be 6..24, not 5"),
        (4, 25, "must be 6..24, not 25"),
    ],
)
def test_parameters_out_of_range(index_bits: int, bits: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reciprocal(index_bits, bits)
