"""``chandelier report``: everything that is known of a network on one page, and what to type for the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hw.rtl import generator
from quant.errors import ChandelierError
from quant.files import replacing
from sw.data import Dataset, load
from sw.report.evidence import Evidence, gather
from sw.report.page import Missing, Page
from sw.report.results import run
from sw.report.sections import Commands, sections, tiles

__all__ = ["write_report"]


def write_report(
    target: Path,
    output: Path,
    *,
    data: str | None = None,
    samples: str | None = None,
    sample: int | None = None,
    simulate: bool = False,
    rtl: Path | None = None,
    synthesis: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Missing]:
    """Writes the report on ``target`` to ``output``, and returns what it could not show.

    Parameters
    ----------
    target : Path
        The folder of a run, or the file of an integer network.
    data : str, optional
        Data set, or a ``.npz``; by default the one that the run was trained on.
    samples : str, optional
        As of ``results.run``.
    sample : int, optional
        The test sample that is drawn; by default the one at which the co-simulation found a difference, or the first.
    simulate : bool
        Whether the design is simulated with it.
    rtl, synthesis : Path, optional
        As of ``evidence.gather``.
    say
        Is told what begins.

    Raises
    ------
    ChandelierError
        If a file is missing that was asked for, or damaged, or the data do not fit the network.
    """
    evidence = gather(target, rtl, synthesis)
    name, dataset = _dataset(evidence, data)
    commands, results = Commands(evidence, name, dataset is not None), None
    if evidence.network is not None and dataset is not None:
        differs = evidence.cosim.sample if evidence.cosim is not None and evidence.cosim.data == name else None
        drawn = sample if sample is not None else differs or 0
        wanted: dict[str, Any] = {"samples": samples, "sample": drawn, "simulate": simulate, "say": say}
        results = run(evidence, evidence.network, dataset, name, **wanted)
    elif simulate or sample is not None or samples is not None:
        first = commands.quantize if evidence.network is None else commands.report
        raise ChandelierError(f"--samples, --sample and --simulate need a network and its test samples: type '{first}'")
    say("drawing")
    page = Page(
        title=evidence.name,
        lead=_lead(evidence),
        tiles=list(tiles(evidence, results)),
        sections=sections(evidence, results, commands),
        about=list(_about(evidence)),
    )
    with replacing(output) as temporary:
        temporary.write_text(page.html(), encoding="utf-8")
    return page.missing


def _dataset(evidence: Evidence, data: str | None) -> tuple[str, Dataset | None]:
    """The data set, by default the run's, which need not be here, and its name."""
    if data is not None or evidence.config is None:
        return data or "SET", None if data is None else load(data)
    name = evidence.config.data.name
    try:
        return name, load(name)
    except ChandelierError:
        return name, None


def _lead(evidence: Evidence) -> str:
    network = evidence.network
    if network is None:
        return "A run that has not been quantised."
    maps = [network.input.map, *(shape for _, shape in network.maps)]
    shape = "-".join("x".join(str(n) for n in shape if n > 1) or "1" for shape in maps)
    synapses = sum(layer.w_ee.size + layer.w_ie.size + layer.w_ei.size for layer in network.layers)
    return f"E-I spiking network {shape}, {network.steps} time steps, {synapses:,} synapses."


def _about(evidence: Evidence) -> list[str]:
    lines = [f"{generator()}; network {evidence.path}" + (f", SHA-256 {evidence.sha256}" if evidence.sha256 else "")]
    if evidence.config is not None:
        lines.append(f"Run {evidence.run}, seed {evidence.config.seed}.")
    return [*lines, *(f"Not used: {other}." for other in evidence.others)]
