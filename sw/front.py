"""What ``chandelier explore`` ends in: a table, a chart, and a configuration for each design that none dominates."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from quant.files import replacing, replacing_directory
from sw.explore import Trial
from sw.report.charts import scatters, standalone
from sw.study import TARGET, Aim, Study
from sw.synth import design_lanes
from sw.trials import Figures

__all__ = ["as_json", "front_tables", "write_front"]

_NAMES: Mapping[Aim, str] = {
    "accuracy": "accuracy, %",
    "luts": "LUT",
    "brams": "block RAM",
    "images_per_second": "images/s",
    "energy": "energy, nJ",
}


def front_tables(study: Study, trials: Sequence[Trial], front: Mapping[int, Figures]) -> tuple[Table, Table]:
    """The front, the most accurate first: what each design comes to, in 80 columns, and what was chosen for it."""
    varied = [key for key, values in study.choices.items() if len(values) > 1]
    reached, chosen = Table(box=SIMPLE_HEAD, padding=0), Table(box=SIMPLE_HEAD, padding=0)
    reached.title = Text(f"{study.name}: {len(front)} of {len(trials)} trials, which none dominates")
    reached.title_justify = "left"
    for column in ("trial", "accuracy, %", "LUT", "FF", "BRAM", "DSP", "cycles", "MHz", "images/s", "nJ"):
        reached.add_column(column, justify="right", no_wrap=True)
    for column in ("trial", "device", *(key.partition(".")[2].replace("_", " ") for key in varied)):
        chosen.add_column(column, justify="left" if column == "device" else "right")
    choices = {trial.number: trial.choice for trial in trials}
    for number, own in sorted(front.items(), key=lambda pair: -pair[1].accuracy):
        figures = [f"{own.luts:,}", f"{own.ffs:,}", str(own.brams), str(own.dsps), f"{own.cycles:.1f}"]
        figures += [f"{own.clock:.1f}", f"{own.images_per_second:,.0f}", f"{own.energy or 0:.1f}"]
        reached.add_row(str(number), f"{100 * own.accuracy:.2f}", *figures)
        cells = [choices[number][key] for key in varied]
        words = (", ".join(map(str, cell)) if isinstance(cell, list) else str(cell) for cell in cells)
        chosen.add_row(str(number), own.device, *words)
    if front:
        routed = all(own.routed for own in front.values())
        reached.caption = Text("as placed and routed" if routed else "area by the model, at the clock of the study")
        reached.caption_justify = "left"
    return reached, chosen


def as_json(study: Study, trials: Sequence[Trial], front: Mapping[int, Figures], seconds: float) -> dict[str, Any]:
    """All trials and the front, as plain values."""

    def plain(own: Figures | None) -> dict[str, Any] | None:
        return None if own is None else own.model_dump(mode="json") | {"images_per_second": own.images_per_second}

    rows = [
        {"number": t.number, "outcome": t.outcome, "choice": t.choice, "short": plain(t.short), "full": plain(t.full)}
        | ({"why": t.refused.why} if t.refused else {})
        for t in trials
    ]
    found = [{"number": number, **(plain(own) or {})} for number, own in sorted(front.items())]
    return {"study": study.name, "aims": study.study.aims, "seconds": seconds, "trials": rows, "front": found}


def _chart(study: Study, trials: Sequence[Trial], front: Mapping[int, Figures]) -> str:
    """All aims against the first of them."""
    first, *others = study.study.aims
    trained = {t.number: t.full for t in trials if t.full}
    kinds = {
        "stopped early": [t.short for t in trials if t.short and t.number not in trained],
        "trained": [own for number, own in trained.items() if number not in front],
        "front": list(front.values()),
    }
    groups = {
        _NAMES[aim]: {
            kind: [(float(getattr(own, first)), float(getattr(own, aim))) for own in points]
            for kind, points in kinds.items()
        }
        for aim in others
    }
    return standalone(scatters(f"{study.name}: designs", _NAMES[first], groups, percent=first == "accuracy"))


def _toml(values: Mapping[str, Any]) -> str:
    """Sections of plain values; what is ``None`` is left out."""
    lines, sections = [], []
    for key, value in values.items():
        if isinstance(value, dict):
            sections.append(f"\n[{key}]\n{_toml(value)}")
        elif value is not None:
            lines.append(f"{key} = {json.dumps(value)}\n")
    return "".join(lines + sections)


def _configuration(study: Study, trial: Trial, own: Figures) -> str:
    """What ``train`` takes to make the design again, with the commands."""
    config = study.config(trial.number, trial.choice)
    name, data = config.name, config.data.name
    lanes = {
        option: ",".join(f"{getattr(folding, option)}" for folding in own.lanes)
        for option in ("synapse_lanes", "population_lanes", "neuron_lanes")
    }
    options = " ".join(f"--{option.replace('_', '-')} {value}" for option, value in lanes.items())
    network = f"runs/{name}/{name}.safetensors"
    said = [
        f"Trial {trial.number} of the study {study.name}: {100 * own.accuracy:.2f} %, {own.luts:,} LUT, "
        f"{own.ffs:,} FF, {own.brams} BRAM, {own.dsps} DSP",
        f"{'as placed and routed' if own.routed else 'by the area model'}; {own.cycles:.1f} cycles an image, "
        f"{own.images_per_second:,.0f} images/s at {own.clock:.1f} MHz, {own.energy or 0:.1f} nJ.",
        f"Lanes {design_lanes(own.lanes)}, for {trial.choice[TARGET]} cycles, on {own.device}. To make it again:",
        f"  OMP_NUM_THREADS=1 chandelier train {name}.toml",
        f"  chandelier quantize runs/{name}",
        f"  chandelier rtl {network} -o build {options}",
        f"  chandelier cosim {network} --data {data} {options}",
        f"  chandelier synth {network} --device {own.device} --data {data} {options}",
    ]
    return "".join(f"# {line}\n" for line in said) + _toml(config.model_dump(mode="json"))


def write_front(study: Study, folder: Path, trials: Sequence[Trial], front: Mapping[int, Figures]) -> None:
    """Writes ``front.svg``, and into ``front`` a configuration for each design."""
    with replacing(folder / "front.svg") as temporary:
        temporary.write_text(_chart(study, trials, front), encoding="utf-8")
    with replacing_directory(folder / "front", r".*\.toml") as temporary:
        for trial in trials:
            if trial.number in front:
                text = _configuration(study, trial, front[trial.number])
                (temporary / f"{study.name}-{trial.number}.toml").write_text(text, encoding="utf-8")
