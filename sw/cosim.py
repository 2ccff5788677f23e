"""From a network and the name of a data set to a co-simulation: encoding, golden model, generated design."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np

from hw.folding import Foldings, Spatial
from hw.manifest import FoldingEntry, Manifest
from hw.rtl import network_sha256, write_rtl
from quant.errors import ChandelierError
from quant.formats import Format
from quant.golden import SIGNALS, GoldenModel
from quant.network import IntegerNetwork
from quant.strict import Strict
from sim.controls import Control, faults, negative_controls
from sim.cosim import Part, Subject, cosimulate, cosimulate_part, merged
from sim.report import CosimReport, Spread
from sim.runs import cut
from sim.verilator import Build
from sw.cluster import Cluster
from sw.console import Update
from sw.data import load
from sw.samples import dataset_codes

__all__ = ["Compared", "CosimRecord", "Planted", "cosimulate_network", "record_path", "report_rows", "require_caught"]


class Compared(Strict):
    """How many values of a signal were compared."""

    layer: int
    signal: str
    values: int


class Planted(Strict):
    """A fault that was planted, and the difference by which it was found, if it was."""

    kind: str
    place: str
    found: str | None


class CosimRecord(Strict):
    """What ``cosim`` leaves beside the network: ``CosimReport``, what was simulated, and what was planted.

    ``first`` is the first difference in words, ``sample`` where it is; ``lanes`` are those of each layer.
    """

    format: Literal["chandelier-cosim"] = "chandelier-cosim"
    version: Literal[1] = 1
    network_sha256: str
    data: str
    lanes: list[FoldingEntry] | Spatial
    loadable: bool
    stalls: float
    seed: int
    samples: int
    compared: list[Compared]
    mismatches: int
    first: str | None
    sample: int | None
    faults: list[str]
    planted: list[Planted]
    interval: Spread | None
    latency: Spread | None
    cycles: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the design did exactly what the golden model does, and every planted fault was found."""
        return not self.mismatches and not self.faults and all(planted.found is not None for planted in self.planted)

    @classmethod
    def of(
        cls,
        network: IntegerNetwork,
        data: str,
        report: CosimReport,
        controls: Sequence[Control],
        *,
        foldings: Foldings,
        loadable: bool = False,
        stalls: float = 0.0,
        seed: int = 0,
    ) -> Self:
        """Of what :func:`cosimulate_network` returned, given the same arguments."""
        return cls(
            network_sha256=network_sha256(network),
            data=data,
            lanes=foldings if foldings == "spatial" else [FoldingEntry(**asdict(folding)) for folding in foldings],
            loadable=loadable,
            stalls=stalls,
            seed=seed,
            samples=report.samples,
            compared=[Compared(layer=i, signal=name, values=n) for (i, name), n in report.compared.items()],
            mismatches=report.mismatches,
            first=None if report.first is None else str(report.first),
            sample=None if report.first is None else report.first.sample,
            faults=list(report.faults),
            planted=[Planted(kind=c.fault.kind, place=c.fault.place, found=_found(c)) for c in controls],
            interval=report.interval,
            latency=report.latency,
            cycles=report.cycles,
            seconds=report.seconds,
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """What an earlier ``cosim`` left; a ``ChandelierError`` if it is missing or damaged."""
        return cls.read_json(path, writer="'chandelier cosim' writes it", again="co-simulate again")


def record_path(network: Path) -> Path:
    """Where the record of the network in the file ``network`` is."""
    return network.with_suffix(".cosim.json")


def _found(control: Control) -> str | None:
    """The difference by which a fault was found, or what else went wrong."""
    return str(control.report.first or control.report.faults[0]) if control.caught else None


def _formats(network: IntegerNetwork) -> dict[tuple[int, str], Format]:
    """Of the signals with fractional bits."""
    hidden = ((i, layer.neurons) for i, layer in enumerate(network.layers) if layer.neurons is not None)
    return {(i, name): neurons.membrane for i, neurons in hidden for name in ("current", "v")}


@dataclass(frozen=True, eq=False)
class _Shared:
    """What every shard of a co-simulation needs: the network, and the files of its design, by name."""

    network: IntegerNetwork
    files: dict[str, bytes]
    stalls: float
    seed: int


def _shard(shared: _Shared, start: int, codes: np.ndarray) -> tuple[Part, Build]:
    """What a worker does with the samples from ``start`` on. Its machine keeps the simulator, once it is built."""
    model = GoldenModel(shared.network)
    with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
        for name, content in shared.files.items():
            (Path(scratch) / name).write_bytes(content)
        subject = Subject(
            Path(scratch), codes, lambda _start, _stop: model.run(codes, SIGNALS).signals, _formats(shared.network)
        )
        return cosimulate_part(subject, start, stall_probability=shared.stalls, seed=shared.seed)


def _on_cluster(
    cluster: Cluster,
    network: IntegerNetwork,
    folder: Path,
    codes: np.ndarray,
    stalls: float,
    seed: int,
    progress: Callable[[int, int], None],
) -> CosimReport:
    """As ``cosimulate``, a shard for each worker at a time."""
    shared = _Shared(network, {path.name: path.read_bytes() for path in folder.iterdir()}, stalls, seed)
    ranges, begun, done = cut(len(codes)), time.monotonic(), 0
    found: dict[int, tuple[Part, Build]] = {}
    units = [(own.start, codes[own.start : own.stop]) for own in ranges]
    for k, outcome in cluster.run(_shard, units, shared):
        found[k], done = outcome, done + len(ranges[k])
        progress(done, len(codes))
    parts, builds = zip(*(found[k] for k in sorted(found)), strict=True)
    program = max(builds, key=lambda build: (not build.cached, build.seconds))
    return merged(Manifest.read(folder).top, len(codes), parts, seconds=time.monotonic() - begun, program=program)


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
    cluster: Cluster | None = None,
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
    cluster : Cluster, optional
        Whose workers take a shard of the samples each; the report is the same.

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

        def show(done: int, total: int) -> None:
            progress("co-simulate", done, total, "")

        if cluster is None:
            report = cosimulate(folder, codes, golden, progress=show, **common)  # type: ignore[arg-type]
        else:
            report = _on_cluster(cluster, network, folder, codes, stalls, seed, show)
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
        said = f"found: {found}" if (found := _found(control)) else "NOT FOUND"
        rows[f"planted: wrong {control.fault.kind}"] = f"{control.fault.place}; {said}"
    return rows | {
        "cycles between results": report.interval or "-",
        "cycles to a result": report.latency or "-",
        "speed": f"{report.cycles_per_second:,.0f} cycles/s, {report.images_per_second:,.1f} samples/s",
        "simulator": "from the cache" if report.build_cached else f"built in {report.build_seconds:.1f} s",
    }
