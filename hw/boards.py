"""The boards that bitstreams are made for: what is on them, and the serial design with its clock, pins and LEDs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from amaranth import ClockDomain, ClockSignal, DomainRenamer, Module, Mux, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hw.devices import DEVICES, PINS_FILE, Device, ecp5
from hw.manifest import Manifest
from hw.pll import PLL, PLLFamily, ecp5_pll, gowin_pll, ice40_pll
from hw.serial_shell import SerialDesign
from hw.uart import SMALLEST_DIVISOR
from quant.errors import ChandelierError
from quant.optional import optional

__all__ = ["BOARDS", "BoardKind", "BoardTop", "Clocking", "StartUp", "clocking_of", "find_board"]

#: How far a bit may be from the time that both sides agree on, where a receiver takes eight cycles for it, or fewer.
_BAUD_TOLERANCE, _FEW_CYCLES_TOLERANCE = 0.02, 0.007
#: Microseconds of reset: the memories of an iCE40 read as zero for the first three.
_STARTING = 15


@dataclass(frozen=True)
class BoardKind:
    """A kind of board.

    Parameters
    ----------
    platform : str
        Module and class in ``amaranth_boards``.
    device : Device
        With the options of its router; the pins are in ``PINS_FILE``.
    oscillator, clock : float
        MHz of its oscillator, and of the design's clock if nobody says otherwise.
    pll : PLLFamily
    leds : (name, number, part or ``None``) twice
        The LEDs that show ``busy`` and ``fault``.
    routed : tuple of str
        The router's option for what it writes, and the file's suffix.
    packer : tuple of str
        Program, and arguments with ``{routed}`` and ``{image}``.
    image : str
        Suffix of the file that the loader takes.
    loader : str
        What one types to load ``{image}``.
    serial : str
        Where the serial port is.
    prepare : function of the platform, optional
        Adds what it lacks.
    """

    platform: tuple[str, str]
    device: Device
    oscillator: float
    clock: float
    pll: PLLFamily
    leds: tuple[tuple[str, int, str | None], tuple[str, int, str | None]]
    routed: tuple[str, str]
    packer: tuple[str, ...]
    image: str
    loader: str
    serial: str = "on its USB connector"
    prepare: Callable[[Any], None] = lambda platform: None

    def make_platform(self) -> Any:
        """A platform of amaranth-boards, for one design.

        Raises
        ------
        ChandelierError
            If amaranth-boards is not installed.
        """
        module, name = self.platform
        platform = getattr(optional(f"amaranth_boards.{module}", "a bitstream", "chandelier[board]"), name)()
        self.prepare(platform)
        return platform


def _add_feather_uart(platform: Any) -> None:
    """The OrangeCrab has no serial port of its own: pins 0 and 1 of its header are one, as on every Feather."""
    from amaranth.build import Attrs
    from amaranth_boards.resources import UARTResource

    pins = UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP"))
    platform.add_resources([pins])


def _ecp5_board(platform: tuple[str, str], device: Device, oscillator: float, **others: Any) -> BoardKind:
    packer = ("ecppack", "--compress", "{routed}", "{image}")
    chosen: dict[str, Any] = {"clock": 50.0, "packer": packer, "image": ".bit"} | others
    return BoardKind(platform, device, oscillator, pll=ecp5_pll, routed=("--textcfg", ".config"), **chosen)


def _orangecrab(size: str) -> BoardKind:
    return _ecp5_board(
        ("orangecrab_r0_2", f"OrangeCrabR0_2_{size}FPlatform"),
        ecp5(f"{size}k", f"LFE5U-{size}F", "CSFBGA285", 8),
        48.0,
        clock=48.0,
        leds=(("rgb_led", 0, "g"), ("rgb_led", 0, "r")),
        packer=("ecppack", "--compress", "--freq", "38.8", "{routed}", "{image}"),
        image=".dfu",
        loader="dfu-util -a 0 -D {image}",
        serial="on pins 0 (into the board) and 1 (out of it) of its header",
        prepare=_add_feather_uart,
    )


_UP5K = DEVICES["ice40-up5k"]

BOARDS: Mapping[str, BoardKind] = {
    "ulx3s-85f": _ecp5_board(
        ("ulx3s", "ULX3S_85F_Platform"),
        ecp5("85k", "LFE5U-85F"),
        25.0,
        leds=(("led", 0, None), ("led", 1, None)),
        loader="openFPGALoader -b ulx3s {image}",
    ),
    "orangecrab-25f": _orangecrab("25"),
    "orangecrab-85f": _orangecrab("85"),
    "icebreaker": BoardKind(
        ("icebreaker", "ICEBreakerPlatform"),
        replace(_UP5K, route=(*_UP5K.route, "--pcf", PINS_FILE)),
        oscillator=12.0,
        clock=12.0,
        pll=ice40_pll,
        leds=(("led_g", 0, None), ("led_r", 0, None)),
        routed=("--asc", ".asc"),
        packer=("icepack", "{routed}", "{image}"),
        image=".bin",
        loader="iceprog {image}",
    ),
    "tang-nano-9k": BoardKind(
        ("tang_nano_9k", "TangNano9kPlatform"),
        DEVICES["gowin-gw1nr-9"],
        oscillator=27.0,
        clock=27.0,
        pll=gowin_pll,
        leds=(("led", 0, None), ("led", 1, None)),
        routed=("--write", ".routed.json"),
        packer=("gowin_pack", "-d", "GW1N-9C", "--sspi_as_gpio", "--mspi_as_gpio", "-o", "{image}", "{routed}"),
        image=".fs",
        loader="openFPGALoader -b tangnano9k {image}",
    ),
}


def find_board(name: str) -> BoardKind:
    """The board of that name.

    Raises
    ------
    ChandelierError
        If there is none; the line names them all.
    """
    if name not in BOARDS:
        raise ChandelierError(f"--board must be one of {', '.join(BOARDS)}, not {name}")
    return BOARDS[name]


@dataclass(frozen=True)
class Clocking:
    """Clock and serial port of a board's design.

    Parameters
    ----------
    clock : float
        MHz.
    pll : PLL, optional
        Where the clock is not the oscillator's.
    divisor : int
        Clock cycles a bit.
    """

    clock: float
    pll: PLL | None
    divisor: int

    @property
    def baud(self) -> float:
        """Bits a second that come of the divisor."""
        return self.clock * 1e6 / self.divisor


def clocking_of(board: BoardKind, clock: float, baud: int) -> Clocking:
    """The nearest that the board's PLL and a divisor come to ``clock``, MHz, and ``baud``.

    Raises
    ------
    ChandelierError
        If that is not near enough.
    """
    pll = None if clock == board.oscillator else board.pll(board.oscillator, clock)
    clocking = Clocking(pll.clock if pll else clock, pll, max(1, round((pll.clock if pll else clock) * 1e6 / baud)))
    tolerance = _BAUD_TOLERANCE if clocking.divisor >= 8 else _FEW_CYCLES_TOLERANCE
    most = clocking.clock * 1e6 / SMALLEST_DIVISOR
    if clocking.divisor < SMALLEST_DIVISOR:
        raise ChandelierError(
            f"--baud {baud} is too fast for a clock of {clocking.clock:g} MHz: at most {most:.0f}, {SMALLEST_DIVISOR} "
            "cycles a bit"
        )
    if abs(clocking.baud / baud - 1) > tolerance:
        near = [clocking.clock * 1e6 / (clocking.divisor + k) for k in (0, 1)]
        raise ChandelierError(
            f"--baud {baud} does not come of a clock of {clocking.clock:g} MHz: near are {near[0]:.0f} and "
            f"{near[1]:.0f}"
        )
    return clocking


class StartUp(wiring.Component):
    """A reset that ends ``cycles`` after ``locked``, which belongs to no clock, is high; and begins when it is not.

    Parameters
    ----------
    cycles : int, >= 1
    """

    locked: Signal
    rst: Signal

    def __init__(self, *, cycles: int) -> None:
        self._cycles = cycles
        high: Any = Out
        super().__init__({"locked": In(1), "rst": high(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        steady, left = Signal(), Signal(range(self._cycles + 1), init=self._cycles)
        m.submodules.synchroniser = FFSynchronizer(self.locked, steady, init=0)
        m.d.sync += [left.eq(Mux(steady, left - (left != 0), self._cycles)), self.rst.eq(left != 0)]
        return m


class BoardTop(wiring.Component):
    """The design of a manifest on a board: its serial port and two LEDs; reset as long as there is no steady clock.

    Elaborated with the board's platform.
    """

    def __init__(self, manifest: Manifest, board: BoardKind, clocking: Clocking) -> None:
        self._board, self._clocking = board, clocking
        self._design = SerialDesign(manifest, divisor=clocking.divisor)
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._make_clock(m, platform)
        m.submodules.design = design = self._design
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, uart.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, uart.tx)
        m.d.comb += [design.rx.eq(rx.i), tx.o.eq(design.tx)]
        requested: dict[tuple[str, int], Any] = {}
        for (name, number, part), state in zip(self._board.leds, (design.leds.busy, design.leds.fault), strict=True):
            if (name, number) not in requested:
                requested[name, number] = platform.request(name, number, dir="-")
            port = requested[name, number]
            m.submodules += (led := io.Buffer(io.Direction.Output, port if part is None else getattr(port, part)))
            m.d.comb += led.o.eq(state)
        return m

    def _make_clock(self, m: Module, platform: Any) -> None:
        """The domain ``sync``, from the oscillator or the PLL; in reset until its clock has been steady for a while."""
        m.submodules.oscillator = oscillator = io.Buffer(
            io.Direction.Input, platform.request(platform.default_clk, dir="-")
        )
        m.domains.sync, m.domains.power = ClockDomain("sync"), ClockDomain("power", reset_less=True)
        clock, locked = Signal(), Signal()
        if self._clocking.pll is None:
            m.d.comb += [clock.eq(oscillator.i), locked.eq(1)]
        else:
            m.submodules.pll = self._clocking.pll.instance(oscillator.i, clock, locked)
        starting = StartUp(cycles=ceil(_STARTING * self._clocking.clock))
        m.submodules.starting = DomainRenamer("power")(starting)
        m.d.comb += [ClockSignal("sync").eq(clock), ClockSignal("power").eq(clock)]
        m.d.comb += [starting.locked.eq(locked), ResetSignal("sync").eq(starting.rst)]
