"""Formats: names, ranges, and the narrowest one for a range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant.formats import Format

formats = st.builds(Format, st.integers(1, 64), st.integers(0, 63), st.booleans())


@given(fmt=formats)
def test_a_name_is_read_back(fmt: Format) -> None:
    assert Format.parse(str(fmt)) == fmt


@given(fmt=formats)
def test_the_range_has_a_code_for_every_pattern(fmt: Format) -> None:
    assert fmt.max - fmt.min == 2**fmt.width - 1
    assert fmt.min in fmt and fmt.max in fmt and fmt.max + 1 not in fmt and fmt.min - 1 not in fmt


@given(low=st.integers(-(1 << 60), 1 << 60), size=st.integers(0, 1 << 60))
def test_the_narrowest_format_of_a_range(low: int, size: int) -> None:
    fmt = Format.for_range(low, low + size)
    assert low in fmt and low + size in fmt and fmt.signed == (low < 0)
    if fmt.width > 1 + fmt.signed:
        narrower = Format(fmt.width - 1, signed=fmt.signed)
        assert low not in narrower or low + size not in narrower


@pytest.mark.parametrize("name", ["", "s", "12.6", "s12", "s12.6x", "S12.6", "s-1.2", "s0.0", "u65.0", "s8.64"])
def test_what_is_no_format_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"must be|is written like"):
        Format.parse(name)


def test_the_narrowest_signed_format_ends_at_a_power_of_two() -> None:
    assert [Format.for_range(low, 0).width for low in (-1, -2, -3, -4, -5, -8, -9)] == [1, 2, 3, 3, 4, 4, 5]
