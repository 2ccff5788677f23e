"""From a network and the name of a data set to a co-simulation: encoding, golden model, generated design."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hw.folding import Foldings
from hw.rtl import write_rtl
from quant.errors import ChandelierError
from quant.formats import Format
from quant.golden import SIGNALS, GoldenModel
from quant.network import IntegerNetwork
from sim.controls import Control, faults, negative_controls
from sim.cosim import cosimulate
from sim.report import CosimReport
from sw.console import Update
from sw.data import load
from sw.samples import dataset_codes

__all__ = ["cosimulate_network", "report_rows", "require_caught"]


def _formats(network: IntegerNetwork) -> dict[tuple[int, str], Format]:
    """Of the signals with fractional bits."""
    hidden = ((i, layer.neurons) for i, layer in enumerate(network.layers) if layer.neurons is not None)
    return {(i, name): neurons.membrane for i, neurons in hidden for name in ("current", "v")}


def cosimulate_network(
    network: IntegerNetwork,
    data: str,
    samples: str | None,
    *,
    foldings: Foldings,
    loadable: bool = False,
    stalls: float = 0.0,
    seed: int = 0,
    waves: Path | None = None,
    progress: Update,
) -> tuple[CosimReport, list[Control]]:
    """Generates the design and co-simulates it on the first ``samples``: a number, ``all``, or a few.

    If nothing differs, copies of it with a wrong bit each follow, which have to differ.

    Parameters
    ----------
    foldings : one for each layer, or "spatial"
    loadable : bool
        The design could be filled anew, and has this network at first.
    stalls : float, 0 <= p < 1
        Probability of a pause a cycle, at the source and at the sink.
    seed : int
        Of the stalls.
    waves : Path, optional
        Where a waveform of the first sample goes; ``.fst`` or ``.vcd``.

    Raises
    ------
    ChandelierError
        If the data do not fit the network, or a tool is missing.
    """
    codes = dataset_codes(network, load(data), samples)
    model = GoldenModel(network)

    def golden(start: int, stop: int) -> Mapping[tuple[int, str], np.ndarray]:
        return model.run(codes[start:stop], SIGNALS).signals

    with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
        folder = Path(scratch) / "rtl"
        write_rtl(network, folder, foldings=foldings, loadable=loadable)
        common = {"formats": _formats(network), "stall_probability": stalls, "seed": seed}
        if waves is not None:
            cosimulate(folder, codes[:1], golden, waves=waves, **common)  # type: ignore[arg-type]
        report = cosimulate(
            folder,
            codes,
            golden,
            progress=lambda done, total: progress("co-simulate", done, total, ""),
            **common,  # type: ignore[arg-type]
        )
        if not report.passed:
            return report, []
        planted = faults(network, foldings, codes, golden)
        return report, negative_controls(
            folder, codes, golden, planted, progress=lambda done, total: progress("plant faults", done, total, "")
        )


def require_caught(controls: Sequence[Control]) -> None:
    """Refuses a co-simulation that misses a fault.

    Raises
    ------
    ChandelierError
        If it does; the line names the fault.
    """
    for control in controls:
        if not control.caught:
            fault = control.fault
            raise ChandelierError(
                f"a wrong {fault.kind} was planted ({fault.place}), and co-simulation found no difference: it proves "
                "nothing; please report this"
            )


def report_rows(report: CosimReport, controls: Sequence[Control]) -> dict[str, object]:
    """What the command line shows of a report, and of the faults that were planted."""
    verdict = "0" if report.passed else f"{report.mismatches}"
    rows: dict[str, object] = {
        "samples": f"{report.samples:,}",
        "values compared": f"{sum(report.compared.values()):,} of {len(report.compared)} signals",
        "mismatches": verdict,
    }
    if report.first is not None:
        rows["first difference"] = report.first
    if report.faults:
        rows["fault"] = report.faults[0]
    for control in controls:
        said = f"found: {control.report.first or control.report.faults[0]}" if control.caught else "NOT FOUND"
        rows[f"planted: wrong {control.fault.kind}"] = f"{control.fault.place}; {said}"
    return rows | {
        "cycles between results": report.interval or "-",
        "cycles to a result": report.latency or "-",
        "speed": f"{report.cycles_per_second:,.0f} cycles/s, {report.images_per_second:,.1f} samples/s",
        "simulator": "from the cache" if report.build_cached else f"built in {report.build_seconds:.1f} s",
    }
