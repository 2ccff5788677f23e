"""The devices that a design can be synthesised for, and what their tools call things."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from quant.errors import ChandelierError

__all__ = [
    "CAPACITIES",
    "DEFAULT_ROUTING",
    "DEVICES",
    "PINS_FILE",
    "Device",
    "Placer",
    "Routing",
    "ecp5",
    "find_device",
]

#: Where the pins of a device are written for its router.
PINS_FILE = "chandelier_shell.pins"
#: How nextpnr places: its default, or as charges that repel each other, which leaves shorter wires where there are many
#: (docs/synthesis.md).
Placer = Literal["heap", "static"]


@dataclass(frozen=True)
class Routing:
    """How nextpnr places and routes; nextpnr-ecp5 alone knows another way than the default.

    Parameters
    ----------
    placer : "heap" or "static"
    rip_up : bool
        What misses the clock that the router aims at is routed again, in up to 1,500 rounds, until nothing does.
    """

    placer: Placer = "heap"
    rip_up: bool = False


#: nextpnr's own.
DEFAULT_ROUTING = Routing()


@dataclass(frozen=True)
class Device:
    """A device, or a family of them.

    Parameters
    ----------
    part : str
        What the figures are for.
    synthesis : str
        yosys' command, without the top module and the file.
    route : tuple of str
        The program that places and routes, and its options; empty where there is none.
    pins : str
        Contents of ``PINS_FILE``: where the shell's ports are, as far as the program must be told.
    cells : mapping of str to tuple of str
        Kind of resource -> the cells that count: of nextpnr's utilisation, or without it of yosys' netlist.
    memory : int, optional
        Bits of all block memories and of all look-up tables as memories: no design with more fits.
    """

    part: str
    synthesis: str
    cells: Mapping[str, tuple[str, ...]]
    route: tuple[str, ...] = ()
    pins: str = ""
    memory: int | None = None

    def routed_by(self, routing: Routing) -> Self:
        """The same, its router told how to place and route.

        Raises
        ------
        ChandelierError
            If the router cannot do that.
        """
        options = [] if routing.placer == "heap" else ["--placer", str(routing.placer)]
        options += ["--tmg-ripup"] if routing.rip_up else []
        if options and self.route[:1] != ("nextpnr-ecp5",):
            asked = "--rip-up" if routing.placer == "heap" else f"--placer {routing.placer}"
            raise ChandelierError(f"{asked} is of nextpnr-ecp5 only, which does not route {self.part}")
        return replace(self, route=(*self.route, *options))


#: Bits of a look-up table of four inputs, as the devices below have them.
_LUT = 16
#: ECP5 -> look-up tables (and as many flip-flops), block memories, multipliers (Lattice FPGA-DS-02012, table 1.1).
CAPACITIES: Mapping[str, tuple[int, int, int]] = {
    "ecp5-25f": (24288, 56, 28),
    "ecp5-45f": (43848, 108, 72),
    "ecp5-85f": (83640, 208, 156),
}


def ecp5(size: str, part: str, package: str = "CABGA381", speed: int = 6) -> Device:
    """An ECP5 of ``size`` ("25k", "45k", "85k"), called ``part``."""
    # The clock needs a pin from which it reaches the clock network; the others are placed anywhere.
    pins = 'LOCATE COMP "clk" SITE "G2";\nIOBUF PORT "clk" IO_TYPE=LVCMOS33;\n'
    # The default router took more than ten minutes for what this one did in two.
    part_options = (f"--{size}", "--package", package, "--speed", f"{speed}")
    options = (*part_options, "--lpf", PINS_FILE, "--lpf-allow-unconstrained", "--router", "router2")
    cells = {"LUT": ("TRELLIS_COMB",), "FF": ("TRELLIS_FF",), "BRAM": ("DP16KD",), "DSP": ("MULT18X18D",)}
    route = ("nextpnr-ecp5", *options)
    tables, blocks, _ = CAPACITIES[f"ecp5-{size.replace('k', 'f')}"]
    return Device(f"{part}, speed grade {speed}", "synth_ecp5", cells, route, pins, blocks * 18432 + tables * _LUT)


def _gowin(part: str, family: str, memory: int, *, clk: str, rst: str, i: str, o: str) -> Device:
    options = ("--device", part, "--vopt", f"family={family}", "--vopt", f"cst={PINS_FILE}")
    cells = {"LUT": ("LUT4",), "FF": ("DFF",), "BRAM": ("BSRAM",)}
    cells |= {f"DSP {bits}x{bits}": (f"MULT{bits}X{bits}",) for bits in (9, 18, 36)}  # modes of the same blocks
    ports = {"clk": clk, "rst": rst, "i": i, "o": o}
    pins = "".join(f'IO_LOC "{port}" {pin};\n' for port, pin in ports.items())
    return Device(part, "synth_gowin", cells, ("nextpnr-himbaechel-gowin", *options), pins, memory)


DEVICES: Mapping[str, Device] = {
    "ecp5-25f": ecp5("25k", "LFE5U-25F"),
    "ecp5-45f": ecp5("45k", "LFE5U-45F"),
    "ecp5-85f": ecp5("85k", "LFE5U-85F"),
    "ice40-up5k": Device(
        "iCE40 UP5K",
        "synth_ice40 -dsp",
        {"logic cells": ("ICESTORM_LC",), "BRAM": ("ICESTORM_RAM",), "DSP": ("ICESTORM_DSP",)},
        ("nextpnr-ice40", "--up5k", "--package", "sg48", "--pcf-allow-unconstrained"),
        memory=30 * 4096 + 5280 * _LUT,  # its large single-port memories cannot have contents
    ),
    "gowin-gw1nr-9": _gowin(
        "GW1NR-LV9QN88PC6/I5", "GW1N-9C", 26 * 18432 + 8640 * _LUT, clk="52", rst="4", i="3", o="10"
    ),
    "gowin-gw2a-18": _gowin(
        "GW2A-LV18PG256C8/I7", "GW2A-18", 46 * 18432 + 20736 * _LUT, clk="H11", rst="T10", i="T3", o="C13"
    ),
    "xilinx": Device(
        "7 series, synthesised only",
        "synth_xilinx -flatten",
        {
            "LUT": tuple(f"LUT{inputs}" for inputs in range(1, 7)),
            "FF": ("FDRE", "FDSE", "FDCE", "FDPE"),
            "BRAM": ("RAMB18E1", "RAMB36E1"),
            "DSP": ("DSP48E1",),
        },
    ),
}


def find_device(name: str) -> Device:
    """The device of that name.

    Raises
    ------
    ChandelierError
        If there is none; the line names them all.
    """
    if name not in DEVICES:
        raise ChandelierError(f"--device must be one of {', '.join(DEVICES)}, not {name}")
    return DEVICES[name]
