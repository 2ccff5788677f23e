"""Loadable designs as Verilog: one network in the memory files, another one loaded into it, every signal compared."""

from pathlib import Path
from typing import Any

import pytest
from amaranth import Instance, Module, Mux, Signal
from amaranth.back import verilog
from amaranth.hdl import ClockSignal, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.load_image import load_image
from hw.manifest import Manifest
from hw.rtl import write_rtl
from quant.golden import SIGNALS, GoldenModel
from quant.network import IntegerNetwork
from quant.shape import fitted
from sim.cosim import cosimulate
from sim.report import CosimReport
from tests.hw.loads import words_of
from tests.hw.test_network import random_foldings
from tests.random_networks import other_numbers, random_codes, random_map_network, random_network


class SelfLoading(wiring.Component):
    """The design of a manifest, and beside it an image, which goes to the configuration port after a reset."""

    i__payload: Signal
    i__valid: Signal
    i__ready: Signal
    o__payload: Signal
    o__valid: Signal
    o__ready: Signal

    def __init__(self, manifest: Manifest, image: bytes) -> None:
        self._top, self._words = manifest.top, words_of(image)
        super().__init__(
            {
                "i__payload": In(manifest.input.width),
                "i__valid": In(1),
                "i__ready": Out(1),
                "o__payload": Out(manifest.output.width),
                "o__valid": Out(1),
                "o__ready": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        image: Any = Memory(shape=32, depth=len(self._words), init=self._words)
        m.submodules.image = image
        read = image.read_port(domain="comb")
        place, ready = Signal(range(len(self._words) + 1)), Signal()
        valid = (place < len(self._words)) & ~ResetSignal()
        m.d.comb += read.addr.eq(place)
        m.d.sync += place.eq(Mux(valid & ready, place + 1, place))
        m.submodules.loaded = Instance(
            self._top,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_i__valid=self.i__valid,
            i_i__payload=self.i__payload,
            o_i__ready=self.i__ready,
            o_o__valid=self.o__valid,
            o_o__payload=self.o__payload,
            i_o__ready=self.o__ready,
            i_c__valid=valid,
            i_c__payload=read.data | (place == 0) << 32,
            o_c__ready=ready,
            o_status=Signal(2),
        )
        return m


def _loaded(folder: Path, image: bytes) -> None:
    """Puts a self-loading design around the one in ``folder``."""
    manifest = Manifest.read(folder)
    source = folder / "self_loading.v"
    source.write_text(verilog.convert(SelfLoading(manifest, image), name="self_loading", emit_src=False))
    nets = ("valid", "ready", "payload")
    probes = [p.model_copy(update={net: f"loaded.{getattr(p, net)}" for net in nets}) for p in manifest.probes]
    files = manifest.files | {source.name: "0" * 64}
    changes = {"top": "self_loading", "probes": probes, "files": files, "load": None}
    manifest.model_copy(update=changes).write(folder)


def _cosimulate(folder: Path, network: IntegerNetwork, seed: int) -> CosimReport:
    codes, model = random_codes(network, 20, seed), GoldenModel(network)
    signals = lambda start, stop: model.run(codes[start:stop], SIGNALS).signals  # noqa: E731
    return cosimulate(folder, codes, signals, stall_probability=0.3, seed=seed, optimise=False)


def test_the_verilog_of_a_design_as_it_was_made(tmp_path: Path) -> None:
    network = random_network(3, largest=12)
    write_rtl(network, tmp_path, foldings=random_foldings(network, 3), loadable=True)
    report = _cosimulate(tmp_path, network, 3)
    assert report.passed, f"{report.first} {report.faults}"


@pytest.mark.parametrize("maps", [False, True])
def test_the_verilog_of_a_loaded_design(maps: bool, tmp_path: Path) -> None:
    seed = 3
    shape = random_map_network(seed) if maps else random_network(seed, largest=12)
    write_rtl(shape, tmp_path, foldings=random_foldings(shape, seed), loadable=True)
    other = other_numbers(shape, seed, smaller=True)
    _loaded(tmp_path, load_image(other, Manifest.read(tmp_path)))
    report = _cosimulate(tmp_path, fitted(other, shape), seed)
    assert report.passed, f"{report.first} {report.faults}"
    assert not _cosimulate(tmp_path, shape, seed).passed, "what was there before is no longer there"
