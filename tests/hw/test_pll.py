"""Settings of PLLs: the clocks that their equations give, the limits of the devices, and what other tools choose."""

import re
import subprocess
from pathlib import Path

import pytest

from hw.pll import PLL, PLLFamily, ecp5_pll, gowin_pll, ice40_pll
from hw.tools import find_tool
from quant.errors import ChandelierError


def dividers(pll: PLL) -> dict[str, int]:
    """Settings that are numbers."""
    numbers = {name: getattr(value, "value", value) for name, value in pll.arguments.items() if name.startswith("p_")}
    return {name[2:]: value for name, value in numbers.items() if isinstance(value, int)}


def made(pll: PLL, source: float) -> tuple[float, float, float]:
    """Clock, oscillator and compared frequency by the equation of the primitive's documentation."""
    d = dividers(pll)
    if pll.primitive == "EHXPLLL":
        clock = source / d["CLKI_DIV"] * d["CLKFB_DIV"]
        return clock, clock * d["CLKOP_DIV"], source / d["CLKI_DIV"]
    if pll.primitive == "SB_PLL40_PAD":
        vco = source / (d["DIVR"] + 1) * (d["DIVF"] + 1)
        return vco / 2 ** d["DIVQ"], vco, source / (d["DIVR"] + 1)
    clock = source / (d["IDIV_SEL"] + 1) * (d["FBDIV_SEL"] + 1)
    return clock, clock * d["ODIV_SEL"], source / (d["IDIV_SEL"] + 1)


#: Family, MHz that come in, limits of the oscillator, limits of what is compared.
FAMILIES = [
    (ecp5_pll, 25.0, 400, 800, 3.125, 400),
    (ecp5_pll, 48.0, 400, 800, 3.125, 400),
    (ice40_pll, 12.0, 533, 1066, 10, 133),
    (gowin_pll, 27.0, 400, 1200, 3, 400),
]


@pytest.mark.parametrize(("family", "source", "low", "high", "least", "most"), FAMILIES)
def test_clocks_and_limits(
    family: PLLFamily, source: float, low: float, high: float, least: float, most: float
) -> None:
    for clock in (17.0, 24.0, 30.0, 33.3, 48.0, 50.0, 62.5, 75.0, 96.0, 100.0):
        pll = family(source, clock)
        assert made(pll, source) == pytest.approx((pll.clock, pll.vco, pll.comparison))
        assert pll.clock == pytest.approx(clock, rel=0.05)
        assert low <= pll.vco <= high
        assert least <= pll.comparison <= most


@pytest.mark.parametrize("family", [ecp5_pll, ice40_pll, gowin_pll])
def test_clocks_out_of_reach(family: PLLFamily) -> None:
    for clock in (1.0, 900.0):
        with pytest.raises(
            ChandelierError, match=rf"PLL does not make {clock:g} MHz of 25 MHz: choose another --clock"
        ):
            family(25.0, clock)


def test_as_near_as_prjtrellis(tmp_path: Path) -> None:
    tool = find_tool("nextpnr-ecp5").path.with_name("yowasp-ecppll")
    if not tool.exists():
        pytest.skip("needs the wheel of nextpnr-ecp5")
    for source, clock in ((25, 60), (25, 55), (48, 70), (25, 33)):
        command = [str(tool), "-i", str(source), "-o", str(clock), "-f", "pll.v"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        text = (tmp_path / "pll.v").read_text()
        theirs = {name: int(value) for name, value in re.findall(r"\.(CLK\w+)\((\d+)\)", text)}
        ours = dividers(ecp5_pll(source, clock))
        assert set(theirs) == set(ours)
        ratio = theirs["CLKFB_DIV"] / theirs["CLKI_DIV"]
        assert abs(source * ours["CLKFB_DIV"] / ours["CLKI_DIV"] - clock) <= abs(source * ratio - clock) + 1e-9
        if ours["CLKOP_DIV"] == theirs["CLKOP_DIV"]:
            assert ours.pop("CLKOP_CPHASE") - theirs.pop("CLKOP_CPHASE") in (0, 1)  # theirs is cut off after a rounding
            assert ours == theirs
