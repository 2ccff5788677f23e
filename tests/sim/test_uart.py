"""The serial shell as Verilog, driven by the host's code over cocotbext-uart, a model of the line that is not ours."""

import json
from pathlib import Path

from amaranth.back import verilog

from hw.folding import default_foldings
from hw.rtl import write_rtl
from hw.serial_shell import SerialDesign
from quant.golden import GoldenModel
from quant.network_file import save_network
from sim.board import SERIAL
from tests.random_networks import random_codes
from tests.sim.benches import run_bench
from tests.sim.test_board import NETWORK

#: Clock cycles a bit: 3 % of it are whole nanoseconds.
DIVISOR = 10


def test_the_host_gets_the_results_of_the_network_over_a_line_that_is_too_fast_or_too_slow(tmp_path: Path) -> None:
    manifest = write_rtl(NETWORK, tmp_path, foldings=default_foldings(NETWORK))
    design = SerialDesign(manifest, divisor=DIVISOR)
    # As for the simulated board: a state that does not set a signal leaves it at its default, which was set before.
    allowed = "/* verilator lint_off CASEINCOMPLETE */\n"
    (tmp_path / f"{SERIAL}.v").write_text(allowed + verilog.convert(design, name=SERIAL, emit_src=False))
    codes = random_codes(NETWORK, 10, 1)
    trace = GoldenModel(NETWORK).run(codes)
    expected = [[int(p), *map(int, v)] for p, v in zip(trace.classes, trace.logits, strict=True)]
    run = tmp_path / "run"
    run.mkdir()
    save_network(NETWORK, run / "network.safetensors")
    (run / "job.json").write_text(json.dumps({"divisor": DIVISOR, "codes": codes.tolist(), "expected": expected}))
    sources = [tmp_path / f"{manifest.top}.v", tmp_path / f"{SERIAL}.v"]
    bench = (Path(__file__).parent / "uart_bench.sv").read_text()
    said = run_bench(sources, bench, tmp_path, run, module="tests.sim.uart_bench", tests=3)
    assert not said, said
