"""An error is one line that a terminal can show, whatever it quotes."""

from quant.errors import LONGEST, ChandelierError


def test_a_line_stays_as_it_is() -> None:
    assert str(ChandelierError("layers.0.w_ee holds 9, which u2.0 (0..3) cannot: schön")) == (
        "layers.0.w_ee holds 9, which u2.0 (0..3) cannot: schön"
    )


def test_line_breaks_and_signs_that_a_terminal_obeys_do_not_get_there() -> None:
    said = str(ChandelierError("a\nb\u2028c\r\n\x1b[31mred\0 \udcff"))
    assert said == r"a b c \x1b[31mred\x00 \udcff"


def test_what_is_too_long_is_left_out_of_the_middle() -> None:
    whole = "x.toml: " + "9" * LONGEST + ": use another one"
    said = str(ChandelierError(whole))
    assert len(said) == LONGEST
    assert said.startswith("x.toml: 99") and " ... " in said and said.endswith("99: use another one")
    assert str(ChandelierError("9" * LONGEST)) == "9" * LONGEST
