"""From a network to the file that a board's loader takes: design, serial shell and clock, placed, routed and packed."""

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hw.boards import BoardTop, clocking_of, find_board
from hw.devices import DEFAULT_ROUTING, PINS_FILE, Routing
from hw.folding import Foldings
from hw.protocol import BAUD
from hw.rtl import design_files, write_rtl
from hw.synthesis import Progress, Routed, Usage, check_memory, run_router, run_yosys
from hw.tools import Runner, Tool, find_companion, find_tool
from quant.errors import ChandelierError
from quant.files import replacing_directory
from quant.network import IntegerNetwork

__all__ = ["Bitstream", "dfu_suffix", "make_bitstream"]

#: Name of the board's top module, and of the files made of it.
TOP = "chandelier_board"
#: Files that an earlier run may have left in the folder.
_OWN = (
    rf"{design_files()}|chandelier_board\.(il|bit|bin|dfu|fs)"
    r"|chandelier_shell\.pins|yosys\.log|pack\.log|cells\.json|seed\d+\.(log|json)|bitstream\.json"
)


@dataclass(frozen=True)
class Bitstream:
    """What was made.

    Parameters
    ----------
    image : str
        Name of the file in the folder.
    size : int
        Bytes of it.
    clock, baud : float
        MHz of the design, and bits a second of its serial port.
    routed : Routed
        With the clock, MHz, at which all paths would hold.
    """

    network: str
    board: str
    part: str
    tools: list[str]
    foldings: Foldings
    loadable: bool
    resources: dict[str, Usage]
    image: str
    size: int
    clock: float
    baud: float
    routed: Routed
    loader: str
    serial: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def dfu_suffix(image: bytes, vendor: int, product: int) -> bytes:
    """What a file for ``dfu-util`` ends with (USB Device Firmware Upgrade 1.1, appendix B)."""
    fields = struct.pack("<HHHH3sB", 0xFFFF, product, vendor, 0x0100, b"UFD", 16)
    return fields + struct.pack("<I", zlib.crc32(image + fields) ^ 0xFFFFFFFF)


def make_bitstream(
    network: IntegerNetwork,
    directory: Path,
    *,
    board: str,
    foldings: Foldings,
    loadable: bool = False,
    clock: float | None = None,
    baud: int = BAUD,
    seeds: Sequence[int] = (1,),
    routing: Routing = DEFAULT_ROUTING,
    progress: Progress = lambda what, doing: None,
) -> Bitstream:
    """Makes the bitstream of a network for a board; ``directory`` then holds it, the design, logs and a report.

    Where something goes wrong, or is interrupted, an earlier folder stays as it was.

    Parameters
    ----------
    board : str
        One of ``hw.boards.BOARDS``.
    foldings : sequence of Folding
        One for each layer; not "spatial".
    loadable : bool
        Other networks can be loaded through the serial port (docs/loading.md).
    clock : float, optional
        MHz; by default the board's.
    baud : int
        Bits a second of the serial port.
    seeds : sequence of int, >= 0
        Of placements, which are tried until one holds the clock.
    routing : Routing
        Other than the default for nextpnr-ecp5 only.

    Raises
    ------
    ChandelierError
        If a program is missing or refuses the design, it does not fit the board, no seed holds the clock, or the
        folder cannot be written.
    """
    chosen = find_board(board)
    clocking = clocking_of(chosen, clock or chosen.clock, baud)
    device, platform = chosen.device.routed_by(routing), chosen.make_platform()
    yosys, router = find_tool("yosys"), find_tool(device.route[0])
    packer = find_companion(chosen.packer[0], router, "board")
    with replacing_directory(directory, _OWN) as folder, Runner() as runner:
        manifest = write_rtl(network, folder, foldings=foldings, loadable=loadable)
        check_memory(network.name, manifest, device)
        plan = platform.prepare(BoardTop(manifest, chosen, clocking), TOP)
        (folder / f"{TOP}.il").write_text(plan.files[f"{TOP}.il"])
        (folder / PINS_FILE).write_text(_pins(plan.files))
        reads = f"read_verilog {manifest.top}.v; read_rtlil {TOP}.il"
        run_yosys(runner, yosys, device, reads, TOP, folder, progress)
        tried: list[Routed] = []
        for seed in seeds:
            option, suffix = chosen.routed
            resources, routed = run_router(
                *(runner, router, device, board, TOP, folder, seed, clocking.clock, progress),
                options=(option, f"{TOP}{suffix}"),
            )
            tried.append(routed)
            if routed.clock >= clocking.clock:
                break
        else:
            raise ChandelierError(_too_slow(tried, clocking.clock))
        image = _pack(runner, packer, chosen.packer[1:], f"{TOP}{suffix}", f"{TOP}{chosen.image}", folder)
        for name in (f"{TOP}.json", f"{TOP}{suffix}"):  # large, and made again in a minute
            (folder / name).unlink()
        bitstream = Bitstream(
            network=network.name,
            board=board,
            part=device.part,
            tools=[str(yosys), str(router)],
            foldings=foldings,
            loadable=loadable,
            resources=resources,
            image=image.name,
            size=image.stat().st_size,
            clock=clocking.clock,
            baud=clocking.baud,
            routed=routed,
            loader=chosen.loader.format(image=directory / image.name),
            serial=chosen.serial,
        )
        (folder / "bitstream.json").write_text(json.dumps(bitstream.as_json(), indent=2) + "\n", encoding="utf-8")
    return bitstream


def _pins(files: dict[str, Any]) -> str:
    """The constraints that Amaranth wrote for the router."""
    (name,) = (name for name in files if name.endswith((".lpf", ".pcf", ".cst")))
    return str(files[name])


def _too_slow(tried: Sequence[Routed], clock: float) -> str:
    """What to say where no seed held the clock."""
    best = max(tried, key=lambda routed: routed.clock)
    seeds = "1 seed" if len(tried) == 1 else f"the best of {len(tried)} seeds"
    return (
        f"timing is not met: {best.clock:.1f} MHz of {clock:g} ({seeds}); the worst path is {best.path}; choose more "
        f"--seeds, --clock {int(best.clock)}, or fewer lanes"
    )


def _pack(runner: Runner, packer: Tool, arguments: Sequence[str], routed: str, image: str, folder: Path) -> Path:
    log = folder / "pack.log"
    if runner.run(packer, [argument.format(routed=routed, image=image) for argument in arguments], folder, log):
        raise ChandelierError(f"{packer.name} refuses the design; it says: {log.read_text(errors='replace')[-300:]}")
    path = folder / image
    if path.suffix == ".dfu":
        content = path.read_bytes()
        path.write_bytes(content + dfu_suffix(content, 0x1209, 0x5AF0))
    return path
