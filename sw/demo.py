"""``chandelier demo``: the whole path on the bundled digits, training to the co-simulation of all test images."""

import time
from pathlib import Path

from hw.folding import default_foldings
from hw.rtl import write_rtl
from quant.errors import ChandelierError
from quant.export import FORMATS, export
from sw.config import load_config
from sw.console import console, key_value_table, progress_bars
from sw.cosim import CosimRecord, cosimulate_network, record_path, require_caught
from sw.data import load
from sw.quantise import quantise_run
from sw.shipped import shipped_configs
from sw.training import train

__all__ = ["demo"]


def demo(folder: Path) -> None:
    """Trains, quantises, exports, generates and co-simulates the digits network; everything goes into ``folder``.

    Raises
    ------
    ChandelierError
        If a tool is missing, or (which would be our bug) a bit differs.
    """
    started = time.monotonic()
    config = load_config(shipped_configs()["digits"])
    run = folder / config.name
    with progress_bars() as progress:
        train(config, load(config.data.name), run, progress)
    quantised = quantise_run(run, folder / f"{config.name}.safetensors")
    network = quantised.network
    for fmt, (suffix, _) in FORMATS.items():
        export(network, fmt, folder / "weights" / f"{config.name}{suffix}")
    foldings = default_foldings(network)
    manifest = write_rtl(network, folder / "rtl", foldings=foldings)
    waves = folder / "first-image.fst"
    with progress_bars() as progress:
        report, controls = cosimulate_network(
            network, config.data.name, "all", foldings=foldings, waves=waves, progress=progress
        )
    record = CosimRecord.of(network, config.data.name, report, controls, foldings=foldings)
    record.write_json(record_path(quantised.path))
    scheme = config.quantisation
    rows = {
        "float accuracy": f"{100 * (quantised.float_accuracy or 0):.2f} %",
        "quantised accuracy": f"{100 * quantised.accuracy:.2f} %",
        "bits": f"synapses {scheme.synapse_bits}, inhibition {scheme.inhibition_bits}, membranes {scheme.membrane}",
        "images co-simulated": report.samples,
        "values compared": f"{sum(report.compared.values()):,}",
        "mismatches": report.mismatches,
        "planted faults found": f"{sum(control.caught for control in controls)} of {len(controls)}",
        "cycles per image": report.interval or "-",
        "integer network": quantised.path,
        "exported weights": folder / "weights",
        "Verilog": folder / "rtl" / f"{manifest.top}.v",
        "waveform": f"{waves} (open it with: gtkwave {waves.with_suffix('.gtkw')}, or see docs/cli.md#waves)",
        "run": f"{run} (metrics.jsonl has a line for every epoch)",
        "time": f"{time.monotonic() - started:.0f} s",
    }
    console.print(key_value_table("Chandelier on the UCI digits", rows))
    if not report.passed:
        raise ChandelierError(str(report.first or report.faults[0]))
    require_caught(controls)
