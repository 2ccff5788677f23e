"""What viewers show of a design: its streams decoded in the bench, layer by layer, and files that open them in order.

Values stand in the waveform as numbers, neuron by neuron, fixed point as reals: any viewer shows them, and its file
only says which, and in what order.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from hw.manifest import Manifest, PayloadField
from quant.files import replacing
from quant.formats import Format
from sim.bench import PERIOD
from sim.harness import BENCH

__all__ = [
    "SHOWN",
    "Formats",
    "Scope",
    "Shown",
    "gtkwave_view",
    "scopes_of",
    "surfer_view",
    "view_verilog",
    "write_views",
]

#: (layer, signal) -> the format of signals that have fractional bits.
Formats = Mapping[tuple[int, str], Format]
#: Most elements of a signal that are shown: the first ones.
SHOWN = 32
#: GTKWave's flags of a trace: right-justified binary, signed decimal, and a real drawn in steps over its own range.
_TRACE = {"bit": "28", "integer": "420", "real": "88420"}
#: Pixels of its waves, and the nanoseconds of one at its zoom 0; each step of the zoom is a factor of two.
_WIDTH, _CLOSEST = 1200, 0.005
#: Its flags of a line that makes a drawing taller, and of those where a closed group begins and ends.
_TALLER, _BEGIN, _END = "20000", "c00200", "1401200"


@dataclass(frozen=True)
class Shown:
    """A signal of the view."""

    name: str
    kind: Literal["bit", "integer", "real"]


@dataclass(frozen=True)
class Scope:
    """A stream of a design, as it is shown.

    Parameters
    ----------
    group : str
        ``inputs``, ``layer1`` or ``result``.
    name : str
        Of the stage in a layer; elsewhere empty.
    signals : list of Shown
        In the order in which they are shown: the handshake first.
    verilog : list of str
        What computes them.
    """

    group: str
    name: str
    signals: list[Shown]
    verilog: list[str]

    @property
    def path(self) -> str:
        """``layer1.lif``, like."""
        return f"{self.group}.{self.name}" if self.name else self.group


def scopes_of(manifest: Manifest, dut: str, formats: Formats) -> list[Scope]:
    """What is shown of the design with the instance ``dut``, in the order of the dataflow."""
    scopes, steps = [_events("inputs", "", f"{dut}.i", manifest.input.fields)], manifest.input.steps
    for i, layer in enumerate(manifest.layers):
        for probe in manifest.probes:
            if probe.layer == i:
                rows = manifest.rows_of(probe)
                turns = (rows, steps) if rows > 1 else (1, 1)
                nets = [f"{dut}.{net}" for net in (probe.valid, probe.ready, probe.payload)]
                own = {field.signal: fmt for field in probe.fields if (fmt := formats.get((i, field.signal)))}
                scopes.append(_values(f"layer{i}", probe.name, nets, probe.fields, own, *turns))
        if layer.events:
            spikes = [probe.fields[0].neurons for probe in manifest.probes if (probe.layer, probe.name) == (i, "lif")]
            row = spikes[0] // layer.rows if layer.rows > 1 else None
            scopes.append(_events(f"layer{i}", "events", f"{dut}.layer{i}.encoder", layer.events, row, steps))
    nets = [f"{dut}.o__{net}" for net in ("valid", "ready", "payload")]
    return [*scopes, _values("result", "", nets, manifest.output.fields, {})]


def _element(payload: str, field: PayloadField, lane: int) -> str:
    """An element of a payload, signed."""
    bits = f"{payload}[{field.offset + lane * field.stride}+:{field.width}]"
    return f"$signed({bits})" if field.signed else f"$signed({{1'b0, {bits}}})"


def _values(
    group: str,
    name: str,
    nets: Sequence[str],
    fields: Sequence[PayloadField],
    formats: Mapping[str, Format],
    rows: int = 1,
    steps: int = 1,
) -> Scope:
    """Values of neurons, each as it last passed; of each of ``rows`` parts of them come ``steps`` in a row."""
    valid, ready, payload = nets
    beats = max(field.beats for field in fields)
    row, last = beats // rows, beats * steps - 1
    signals = [Shown("valid", "bit"), Shown("ready", "bit")]
    lines = [
        f"wire valid = {valid};",
        f"wire ready = {ready};",
        "int turn = 0;",
        f"always @(posedge clk) if (rst) turn <= 0; else if (valid && ready) turn <= turn == {last} ? 0 : turn + 1;",
        f"int beat; always_comb beat = turn / {row * steps} * {row} + turn % {row};",
    ]
    for field in fields:
        fmt = formats.get(field.signal)
        for k in range(min(SHOWN, field.neurons)):
            own = f"{field.signal}_{k}"
            value = _element(payload, field, k % field.lanes)
            if fmt:
                kind, shown, value = "real", Shown(own, "real"), f"$itor({value}) * {fmt.step!r}"
            elif field.width == 1:
                kind, shown = "logic", Shown(own, "bit")
            else:
                kind = "int" if field.width < 32 else "longint"
                shown, value = Shown(own, "integer"), f"{kind}'({value})"
            signals.append(shown)
            lines.append(f"{kind} {own} = 0;")
            lines.append(f"always @(posedge clk) if (valid && ready && beat == {k // field.lanes}) {own} <= {value};")
    return Scope(group, name, signals, lines)


def _events(
    group: str, name: str, stream: str, fields: Sequence[PayloadField], row: int | None = None, steps: int = 1
) -> Scope:
    """Events as they are offered: which input or neuron, -1 for none, and its value; ``last`` ends a time step.

    Where they are of all time steps, ``row`` of each in a row, ``step`` says of which.
    """
    signals = [Shown("valid", "bit"), Shown("ready", "bit")]
    lines = [f"wire valid = {stream}__valid;", f"wire ready = {stream}__ready;"]
    named, payload = {field.signal: field for field in fields}, f"{stream}__payload"
    if "index" not in named:  # a beat is a whole vector of inputs
        return Scope(group, name, signals, lines)
    index, value = named["index"], named["value"]
    signals.append(Shown("last", "bit"))
    lines.append(f"wire last = valid && {payload}[{named['last'].offset}];")
    for k in range(value.lanes):
        own = k if index.lanes > 1 else 0  # neighbours have one index
        place = f"{value.lanes} * int'({_element(payload, index, own)}) + {k}"
        if row is not None:
            place = f"({place}) / {row * steps} * {row} + ({place}) % {row}"
        event = f"there_{k} ? {place} : -1"
        lines += [
            f"wire there_{k} = valid && !last && {payload}[{value.offset + k * value.stride}+:{value.width}] != 0;",
            f"int index_{k}; always_comb index_{k} = {event};",
            f"int value_{k}; always_comb value_{k} = there_{k} ? int'({_element(payload, value, k)}) : 0;",
        ]
        signals += [Shown(f"index_{k}", "integer"), Shown(f"value_{k}", "integer")]
    if row is not None:
        place = f"{value.lanes} * int'({_element(payload, index, 0)})"
        lines.append(f"int step; always_comb step = valid && !last ? {place} / {row} % {steps} : -1;")
        signals.append(Shown("step", "integer"))
    return Scope(group, name, signals, lines)


def view_verilog(name: str, scopes: Sequence[Scope]) -> str:
    """Named blocks for the bench module, one in the other: ``NAME.layer0.lif``."""
    lines = [f"  if (1) begin : {name}"]
    for group, members in groupby(scopes, lambda scope: scope.group):
        lines.append(f"    if (1) begin : {group}")
        for scope in members:
            inner = [f"      {line}" for line in scope.verilog]
            lines += [f"      if (1) begin : {scope.name}", *inner, "      end"] if scope.name else inner
        lines.append("    end")
    return "\n".join([*lines, "  end"])


def gtkwave_view(waves: Path, views: Mapping[str, Sequence[Scope]], cycles: int) -> str:
    """A save file of GTKWave that shows the first ``cycles`` of the file ``waves``.

    ``views`` are what is shown, by the path of each view there.
    """
    zoom = -math.log2(max(1, cycles) * PERIOD / _WIDTH / _CLOSEST)
    # With both paths absolute, GTKWave finds the one beside the other, wherever they are by then.
    paths = [f'[dumpfile] "{waves.absolute()}"', f'[savefile] "{waves.with_suffix(".gtkw").absolute()}"']
    lines = [*paths, f"[size] {_WIDTH + 300} 900", f"*{zoom:.2f} 0", "[sst_expanded] 0"]
    lines.append("[signals_width] 220")
    lines += [f"@{_TRACE['bit']}", f"{BENCH}.clk"]
    for path, scopes in views.items():
        for scope in scopes:
            lines += [f"@{_BEGIN}", f"-{scope.path}"]
            for shown in scope.signals:
                lines += [f"@{_TRACE[shown.kind]}", f"{path}.{scope.path}.{shown.name}"]
                lines += [f"@{_TALLER}", "-"] if shown.kind == "real" else []
            lines += [f"@{_END}", f"-{scope.path}"]
    return "\n".join([*lines, ""])


def surfer_view(views: Mapping[str, Sequence[Scope]]) -> str:
    """A command file of Surfer, which shows integers as signed numbers, and reals, by itself."""
    return "\n".join([*_surfer_commands(views), "zoom_fit", ""])


def _surfer_commands(views: Mapping[str, Sequence[Scope]]) -> Iterator[str]:
    yield f"variable_add {BENCH}.clk"
    for path, scopes in views.items():
        for scope in scopes:
            yield f"divider_add {scope.path}"
            yield from (f"variable_add {path}.{scope.path}.{shown.name}" for shown in scope.signals)


def write_views(waves: Path, views: Mapping[str, Sequence[Scope]], cycles: int) -> None:
    """Writes beside a waveform ``NAME.gtkw`` and ``NAME.sucl``, which open it in order; the first ``cycles`` of it."""
    for suffix, text in ((".gtkw", gtkwave_view(waves, views, cycles)), (".sucl", surfer_view(views))):
        with replacing(waves.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")
