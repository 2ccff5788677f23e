"""Phase-locked loops: from a board's oscillator to the clock that is wanted, as near as dividers come to it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import ceil, floor
from typing import Any

from amaranth import Const, Instance, Signal, Value

from quant.errors import ChandelierError

__all__ = ["PLL", "PLLFamily", "ecp5_pll", "gowin_pll", "ice40_pll"]

#: How far the clock may be from the one that was asked for.
_TOLERANCE = 0.05


@dataclass(frozen=True)
class PLL:
    """A primitive with its settings.

    Parameters
    ----------
    clock : float
        MHz that come out.
    vco, comparison : float
        MHz of its oscillator, and of what it compares; both have limits.
    primitive : str
    arguments : mapping of str to anything
        Of the instance, as Amaranth takes them: parameters, attributes, constant inputs.
    ports : (str, str, str)
        Names of the input, the output, and the signal that says that the output is steady.
    feedback : str, optional
        Name of an input that gets the output.
    """

    clock: float
    vco: float
    comparison: float
    primitive: str
    arguments: Mapping[str, Any]
    ports: tuple[str, str, str]
    feedback: str | None = None

    def instance(self, source: Value, clock: Signal, locked: Signal) -> Instance:
        """The primitive between these."""
        into, out, lock = self.ports
        nets: dict[str, Any] = {f"i_{into}": source, f"o_{out}": clock, f"o_{lock}": locked}
        if self.feedback:
            nets[f"i_{self.feedback}"] = clock
        return Instance(self.primitive, **self.arguments, **nets)


#: ``pll(source, clock)``, both in MHz.
PLLFamily = Callable[[float, float], PLL]


def _nearest(candidates: Iterator[PLL], source: float, clock: float, middle: float) -> PLL:
    """The one with the nearest clock; of several, the one whose oscillator is nearest to the middle of its range."""

    def badness(pll: PLL) -> tuple[float, float]:
        return round(abs(pll.clock - clock), 6), abs(pll.vco - middle)

    best = min(candidates, key=badness, default=None)
    if best is None or abs(best.clock / clock - 1) > _TOLERANCE:
        raise ChandelierError(f"the board's PLL does not make {clock:g} MHz of {source:g} MHz: choose another --clock")
    return best


#: What is the same for every clock; the loop's currents are those that Diamond chooses.
_ECP5: dict[str, Any] = {
    "a_ICP_CURRENT": "12",
    "a_LPF_RESISTOR": "8",
    "a_MFG_ENABLE_FILTEROPAMP": "1",
    "a_MFG_GMCREF_SEL": "2",
    "p_CLKOP_ENABLE": "ENABLED",
    "p_FEEDBK_PATH": "CLKOP",
    **{f"p_{name}": "DISABLED" for name in ("PLLRST_ENA", "INTFB_WAKE", "STDBY_ENABLE", "DPHASE_SOURCE")},
    **{f"p_OUTDIVIDER_MUX{x}": f"DIV{x}" for x in "ABCD"},
    **{f"i_{name}": Const(0, 1) for name in ("RST", "STDBY", "PHASESEL0", "PHASESEL1", "PLLWAKESYNC", "ENCLKOP")},
    **{f"i_{name}": Const(1, 1) for name in ("PHASEDIR", "PHASESTEP", "PHASELOADREG")},
}


def ecp5_pll(source: float, clock: float) -> PLL:
    """``EHXPLLL``: clock = source / reference * feedback; 3.125..400 MHz compared, oscillator 400..800 MHz.

    Raises
    ------
    ChandelierError
        If no setting comes near to the clock.
    """

    def candidates() -> Iterator[PLL]:
        for reference in range(1, 129):
            comparison = source / reference
            feedback = round(clock / comparison)
            if not (3.125 <= comparison <= 400 and 1 <= feedback <= 80 and 10 <= comparison * feedback <= 400):
                continue
            made = comparison * feedback
            for output in range(1, 129):
                if 400 <= made * output <= 800:
                    settings = arguments(reference, feedback, output, made)
                    ports = ("CLKI", "CLKOP", "LOCK")
                    yield PLL(made, made * output, comparison, "EHXPLLL", settings, ports, "CLKFB")

    def arguments(reference: int, feedback: int, output: int, made: float) -> dict[str, Any]:
        frequencies = {"a_FREQUENCY_PIN_CLKI": f"{source:g}", "a_FREQUENCY_PIN_CLKOP": f"{made:g}"}
        dividers = {"p_CLKI_DIV": reference, "p_CLKFB_DIV": feedback, "p_CLKOP_DIV": output}
        phase = {"p_CLKOP_CPHASE": output // 2, "p_CLKOP_FPHASE": 0}
        return _ECP5 | frequencies | dividers | phase

    return _nearest(candidates(), source, clock, 600)


#: Upper ends of the frequencies that an iCE40's loop compares, and the filter for each.
_FILTERS = ((17, 1), (26, 2), (44, 3), (66, 4), (101, 5), (133, 6))


def ice40_pll(source: float, clock: float) -> PLL:
    """``SB_PLL40_PAD``: clock = source / (R + 1) * (F + 1) / 2^Q; 10..133 MHz compared, oscillator 533..1066 MHz.

    Raises
    ------
    ChandelierError
        If no setting comes near to the clock.
    """

    def candidates() -> Iterator[PLL]:
        for r in range(16):
            comparison = source / (r + 1)
            for q, nearest in product(range(1, 7), (floor, ceil)):
                f = nearest(clock * 2**q / comparison) - 1
                vco = comparison * (f + 1)
                if 10 <= comparison <= 133 and 0 <= f <= 127 and 533 <= vco <= 1066 and 16 <= vco / 2**q <= 275:
                    chosen = next(number for top, number in _FILTERS if comparison <= top)
                    settings, ports = arguments(r, f, q, chosen), ("PACKAGEPIN", "PLLOUTCORE", "LOCK")
                    yield PLL(vco / 2**q, vco, comparison, "SB_PLL40_PAD", settings, ports)

    def arguments(r: int, f: int, q: int, chosen: int) -> dict[str, Any]:
        fields = {"DIVR": Const(r, 4), "DIVF": Const(f, 7), "DIVQ": Const(q, 3), "FILTER_RANGE": Const(chosen, 3)}
        constants = {"p_FEEDBACK_PATH": "SIMPLE", "i_RESETB": Const(1, 1), "i_BYPASS": Const(0, 1)}
        return constants | {f"p_{name}": value for name, value in fields.items()}

    return _nearest(candidates(), source, clock, 800)


def gowin_pll(source: float, clock: float) -> PLL:
    """``rPLL`` of a GW1N-9C: clock = source / (I + 1) * (F + 1); 3..400 MHz compared, oscillator 400..1200 MHz.

    Raises
    ------
    ChandelierError
        If no setting comes near to the clock.
    """

    def candidates() -> Iterator[PLL]:
        for i in range(64):
            comparison = source / (i + 1)
            f = round(clock / comparison) - 1
            made = comparison * (f + 1)
            if not (3 <= comparison <= 400 and 0 <= f <= 63 and 3.125 <= made <= 600):
                continue
            for output in (2, 4, 8, *range(16, 129, 16)):
                if 400 < made * output < 1200:
                    settings, ports = arguments(i, f, output), ("CLKIN", "CLKOUT", "LOCK")
                    yield PLL(made, made * output, comparison, "rPLL", settings, ports)

    def arguments(i: int, f: int, output: int) -> dict[str, Any]:
        dividers = {"p_FCLKIN": f"{source:g}", "p_IDIV_SEL": i, "p_FBDIV_SEL": f, "p_ODIV_SEL": output}
        unused = {"RESET": 1, "RESET_P": 1, "CLKFB": 1, "FBDSEL": 6, "IDSEL": 6, "ODSEL": 6}
        unused |= {"PSDA": 4, "DUTYDA": 4, "FDLY": 4}
        return dividers | {f"i_{name}": Const(0, bits) for name, bits in unused.items()}

    return _nearest(candidates(), source, clock, 800)
