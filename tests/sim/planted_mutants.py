"""Mutants that yosys cannot know: mistakes of the kind that people make, planted in the source of a component."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from hw.folding import Foldings
from hw.rtl import write_rtl
from quant.network import IntegerNetwork

__all__ = ["PLANTED", "Planted", "plant"]


@dataclass(frozen=True)
class Planted:
    """A mistake.

    Parameters
    ----------
    component : str
        Class that has it.
    kind : str
    module : str
        Of the component, in ``hw``.
    design : str
        Design in which it matters.
    old, new : str
        What stands in the source, once, and what in its place.
    """

    component: str
    kind: str
    module: str
    design: str
    old: str
    new: str


_LIF_RESET = "after_reset(u, spike, self._theta, self._reset, Mux)"
_LIF_LANES = "in zip(self.i.p, read.data, write.data, self.o.p, strict=True)"
_LIF_SWAPPED = "in zip(list(self.i.p)[::-1], read.data, write.data, self.o.p, strict=True)"
_SPATIAL_RESET = "after_reset(u, spike, theta, neurons.reset, Mux)"
_SHIFTED = "delay(coarse >> extra(places[:3]))"
_WEIGHT = "weights[n * self._population_lanes + k]"

PLANTED = (
    Planted("LIFCore", "comparison", "lif", "dense7", "u >= self._theta", "u > self._theta"),
    Planted("LIFCore", "saturation", "lif", "dense7", f"saturate({_LIF_RESET}, self._membrane, Mux)", _LIF_RESET),
    Planted("LIFCore", "reset", "lif", "dense7", _LIF_RESET, _LIF_RESET.replace("self._reset", '"zero"')),
    Planted("LIFCore", "reset", "lif", "dense55", _LIF_RESET, _LIF_RESET.replace("self._reset", '"subtract"')),
    Planted(
        "LIFCore",
        "leak",
        "lif",
        "dense7",
        "current, self._theta, self._tau_shift,",
        "current, self._theta, self._tau_shift + 1,",
    ),
    Planted("LIFCore", "clearing", "lif", "dense7", "Mux(step == 0, 0, before.v)", "before.v"),
    Planted("LIFCore", "count", "lif", "dense55", "step == self._steps - 1", "step == self._steps - 2"),
    Planted("LIFCore", "lanes", "lif", "dense7", _LIF_LANES, _LIF_SWAPPED),
    Planted("LIFCore", "hazard", "lif", "dense7", "advance & ~conflict", "advance"),
    Planted("ReciprocalUnit", "table", "reciprocal", "dense7", "init=table", "init=table[1:] + table[:1]"),
    Planted("ReciprocalUnit", "table", "reciprocal", "dense7", "init=table", "init=[entry - 1 for entry in table]"),
    Planted("ReciprocalUnit", "table", "reciprocal", "dense7", "init=table", "init=[*table[:-1], table[-2]]"),
    Planted(
        "ReciprocalUnit", "index", "reciprocal", "dense7", "[len(x) - 1 : len(x) - 1 +", "[len(x) - 2 : len(x) - 2 +"
    ),
    Planted("ReciprocalUnit", "exponent", "reciprocal", "dense7", "delay(place)\n\n", "delay(place) ^ 1\n\n"),
    Planted(
        "ReciprocalUnit", "pipeline", "reciprocal", "dense7", "source.bal, self.latency", "source.bal, self.latency - 1"
    ),
    Planted("DivisiveInhibition", "rounding", "divisive", "dense7", f"round_shift({_SHIFTED}, 1)", f"{_SHIFTED} >> 1"),
    Planted(
        "DivisiveInhibition",
        "rounding",
        "divisive",
        "dense7",
        f"round_shift({_SHIFTED}, 1)",
        f"-round_shift(-{_SHIFTED}, 1)",
    ),
    Planted(
        "DivisiveInhibition",
        "saturation",
        "divisive",
        "dense7",
        "saturate(extra(rounded + b_e), membrane, Mux)",
        "extra(rounded + b_e)",
    ),
    Planted("DivisiveInhibition", "pipeline", "divisive", "dense7", "own.b_e, 9", "own.b_e, 8"),
    Planted("DivisiveInhibition", "pipeline", "divisive", "dense7", "own.g_e, 2", "own.g_e, 3"),
    Planted(
        "Scaling",
        "rounding",
        "scaling",
        "dense55",
        "rounded = round_shift(product, shift)",
        "rounded = product >> shift",
    ),
    Planted(
        "Scaling", "saturation", "scaling", "dense55", "saturate(rounded + b_e, self._membrane, Mux)", "rounded + b_e"
    ),
    Planted(
        "Serialiser", "lanes", "serialiser", "dense55", "zip(self.o.p, i_ee[0]", "zip(list(self.o.p)[::-1], i_ee[0]"
    ),
    Planted("Serialiser", "handshake", "serialiser", "dense28", "~busy | (last & advance)", "~busy | last"),
    Planted("PopulationUnit", "sign", "population", "dense7", "base, bal) - inhibition", "base, bal) + inhibition"),
    Planted("PopulationUnit", "clearing", "population", "dense7", "Mux(flags.first, 0, d) + shunting", "d + shunting"),
    Planted(
        "PopulationUnit", "lanes", "population", "dense7", _WEIGHT, "weights[(n ^ 1) * self._population_lanes + k]"
    ),
    Planted("PopulationUnit", "gain", "population", "dense7", "read.addr.eq(chunk)", "read.addr.eq(~chunk)"),
    Planted(
        "PopulationUnit",
        "count",
        "population",
        "dense7",
        "issued.last.eq(chunk == self.chunks - 1)",
        "issued.last.eq(1)",
    ),
    Planted(
        "GlobalInhibition", "clearing", "global_inhibition", "dense7", "Mux(first, 0, total) + part", "total + part"
    ),
    Planted(
        "GlobalInhibition",
        "pipeline",
        "global_inhibition",
        "dense55",
        "balance.eq(delay(delay(multiple",
        "balance.eq(delay((multiple",
    ),
    Planted(
        "GlobalInhibition", "count", "global_inhibition", "dense55", "left.eq(emitting & last)", "left.eq(emitting)"
    ),
    Planted("FloorStabiliser", "comparison", "floor", "dense28", "before.d < floor", "before.d == 0"),
    Planted("Stabiliser", "comparison", "stabiliser", "dense7", "Mux(b < a, b, a)", "Mux(b > a, b, a)"),
    Planted("Stabiliser", "clearing", "stabiliser", "dense7", "Mux(lasts[-1], -1, smallest)", "smallest"),
    Planted("Stabiliser", "zero", "stabiliser", "maps26", "Mux(present, before.d, smallest)", "before.d"),
    Planted("Stabiliser", "zero", "stabiliser", "maps26", "Cat(n.d, ~there)", "Cat(n.d, there & ~there)"),
    Planted("Stabiliser", "waiting", "stabiliser", "maps26", "came.present.all()", "came.present.any()"),
    Planted("Stabiliser", "waiting", "stabiliser", "dense7", "whole.r_data & ~last_out", "whole.r_data"),
    Planted(
        "Stabiliser",
        "count",
        "stabiliser",
        "dense7",
        "last_out, given = left == self._beats - 1",
        "last_out, given = left == 0",
    ),
    Planted(
        "SynapseAccumulator",
        "clearing",
        "accumulator",
        "dense55",
        "m.d.sync += ring.eq(0)",
        "m.d.sync += ring.eq(ring)",
    ),
    Planted("SynapseAccumulator", "hazard", "accumulator", "dense28", "~beat.last & ~waiting)", "~beat.last)"),
    Planted(
        "SynapseAccumulator",
        "count",
        "accumulator",
        "dense55",
        "last_word = word == self.words - 1",
        "last_word = word == 0",
    ),
    Planted("SynapseAccumulator", "marker", "accumulator", "dense7", "Mux(issued, event.value, 0)", "event.value"),
    Planted("SynapseProducts", "pipeline", "synapses", "dense7", "delay(earlier), groups", "earlier, groups"),
    Planted("SynapseProducts", "product", "product", "dense7", "Mux(digit[0], thrice, value << 1)", "value << 1"),
    Planted("SynapseProducts", "sign", "product", "dense55", "parts.append(-(", "parts.append((+"),
    Planted("EventEncoder", "index", "encoder", "dense7", "first + Cat(*lane)", "Cat(*lane)"),
    Planted("EventEncoder", "marker", "encoder", "dense7", "closing.eq(last_beat)", "closing.eq(1)"),
    Planted("EventEncoder", "order", "encoder", "dense7", "part & (part - 1) for", "part & (part >> 1) for"),
    Planted("Skid", "handshake", "skid", "dense7", "Mux(is_aside, aside, self.i.p.as_value())", "self.i.p.as_value()"),
    Planted(
        "CreditQueue", "handshake", "credits", "spatial28", "next_pending != self._depth", "next_pending <= self._depth"
    ),
    Planted("Replay", "count", "replay", "dense42", "turn == self._times - 1", "turn == self._times"),
    Planted("Replay", "handshake", "replay", "maps42", "self.o.ready & ~from_memory", "self.o.ready"),
    Planted("Readout", "clearing", "readout", "dense7", "Mux(step == 0, 0, before)", "before"),
    Planted("Readout", "comparison", "readout", "dense7", "later = b[0] > a[0]", "later = b[0] >= a[0]"),
    Planted("Readout", "comparison", "readout", "dense16", "value > best", "value >= best"),
    Planted(
        "Readout",
        "padding",
        "readout",
        "maps42",
        "self._logit.min, logit) if lane in fill",
        "self._logit.max, logit) if lane in fill",
    ),
    Planted(
        "Readout",
        "handshake",
        "readout",
        "dense28",
        "self.i.ready.eq(~busy), taken.eq(self.i.valid & ~busy)",
        "self.i.ready.eq(1), taken.eq(self.i.valid)",
    ),
    Planted("EventPlacer", "edge", "placer", "maps26", "ends, read.data.kept)", "ends, 1)"),
    Planted("EventPlacer", "step", "placer", "rows23", "first + walk.map_words", "first"),
    Planted("EventPlacer", "count", "placer", "rows23", "valid[1] & Mux(last[1], ends,", "valid[1] & Mux(last[1], 1,"),
    Planted("EventPlacer", "lane", "placer", "maps26", "out.group.eq(group)", "out.group.eq(group ^ 1)"),
    Planted("MapScanner", "sum", "scanner", "maps26", "[term + old for", "[term | old for"),
    Planted("MapScanner", "clearing", "scanner", "maps42", "visited & visit.clear & out_advance", "Const(0)"),
    Planted("MapScanner", "hazard", "scanner", "maps26", "read_port(transparent_for=(write,))", "read_port()"),
    Planted("MapScanner", "handshake", "scanner", "maps26", "full & ~busy", "full"),
    Planted(
        "Walk", "order", "geometry", "rows23", "(steps | outputs if self.row_major else", "(steps | outputs if 0 else"
    ),
    Planted("Walk", "order", "geometry", "rows27", "range(0, self.depth, self.map_words) if", "[0] * self.steps if"),
    Planted("EventPlacer", "group", "placer", "rows23", "walk.source[2] // self._events,", "walk.source[2],"),
    Planted("MapScanner", "group", "scanner", "rows23", "divmod(k, self._events)", "divmod(k ^ 1, self._events)"),
    Planted(
        "EventEncoder", "group", "encoder", "rows23", "[out.index.eq(first), out", "[out.index.eq(next_first), out"
    ),
    Planted("LayerEngine", "rows", "layer", "rows27", "Replay(n=n // rows,", "Replay(n=n,"),
    Planted(
        "LayerEngine", "rows", "layer", "rows27", "LIFCore(\n            n=n // rows,", "LIFCore(\n            n=n,"
    ),
    Planted("WordSplitter", "zero", "splitter", "maps42", 'self.i.p.last | self.i.p["values"]', 'self.i.p["values"]'),
    Planted("WordSplitter", "index", "splitter", "maps42", "word.word * self._lanes + Cat(", "Cat("),
    Planted(
        "WindowAccumulator",
        "edge",
        "window_accumulator",
        "maps42",
        "column >= self._walk.discarded if",
        "column > self._walk.discarded if",
    ),
    Planted(
        "WindowAccumulator",
        "clearing",
        "window_accumulator",
        "maps2591",  # rows begin with padding and end without: elsewhere what is left goes out with discarded columns
        "with m.If(clear[group]):",
        "with m.If(clear[group] & ~clear[group]):",
    ),
    Planted("WindowAccumulator", "move", "window_accumulator", "maps42", "home[k + neurons] if", "home[k] if"),
    Planted("EventMerge", "marker", "routing", "maps0", "source.valid & ~ends_here", "source.valid"),
    Planted("EventFork", "handshake", "routing", "maps0", "self.i.valid & ~had[k]", "self.i.valid"),
    Planted("SpatialLIF", "comparison", "spatial_stages", "spatial28", "spike = u >= theta", "spike = u > theta"),
    Planted(
        "SpatialLIF",
        "saturation",
        "spatial_stages",
        "spatial55",
        f"saturate({_SPATIAL_RESET}, membrane, Mux)",
        _SPATIAL_RESET,
    ),
    Planted(
        "SpatialLIF",
        "reset",
        "spatial_stages",
        "spatial57",
        _SPATIAL_RESET,
        _SPATIAL_RESET.replace("neurons.reset", '"zero"'),
    ),
    Planted("SpatialLIF", "clearing", "spatial_stages", "spatial57", "Mux(step == 0, 0, result.v)", "result.v"),
    Planted(
        "SpatialScaling",
        "rounding",
        "spatial_stages",
        "spatial28",
        "round_shift(product, neurons.shift)",
        "(product >> neurons.shift)",
    ),
    Planted(
        "SpatialScaling",
        "saturation",
        "spatial_stages",
        "spatial55",
        "delay(saturate(current, neurons.membrane, Mux))",
        "delay(current)",
    ),
    Planted(
        "SpatialStabiliser", "zero", "spatial_stages", "spatial4", "neuron.d == 0, self._d.max", "neuron.d == 0, 0"
    ),
    Planted(
        "SpatialStabiliser", "comparison", "spatial_stages", "spatial4", "pair[-1] < pair[0]", "pair[-1] > pair[0]"
    ),
    Planted("SpatialStabiliser", "comparison", "spatial_stages", "spatial28", "d < self._floor if", "d == 0 if"),
    Planted(
        "SpatialInhibition",
        "pipeline",
        "spatial_stages",
        "spatial57",
        "delay(self.i.p.i_ee[k], latency)",
        "delay(self.i.p.i_ee[k], latency - 1)",
    ),
    Planted("SpatialReadout", "clearing", "spatial_stages", "spatial28", "Mux(step == 0, 0, logit)", "logit"),
)


@contextmanager
def planted(mutant: Planted) -> Iterator[None]:
    """Within, the mistake is in the component, wherever ``hw`` uses it."""
    original = importlib.import_module(f"hw.{mutant.module}")
    path = Path(str(original.__file__))
    source = path.read_text()
    if source.count(mutant.old) != 1:
        raise ValueError(
            f"{path} has {mutant.old!r} {source.count(mutant.old)} times: the mutant has to be written anew"
        )
    wrong = ModuleType(original.__name__)
    exec(compile(source.replace(mutant.old, mutant.new), path, "exec"), vars(wrong))
    users = [module for name, module in sys.modules.items() if name.startswith("hw.") and module is not original]
    changed = [
        (user, name, value)
        for user in users
        for name, value in vars(user).items()
        if name in original.__all__ and value is vars(original)[name]
    ]
    try:
        for user, name, _ in changed:
            setattr(user, name, vars(wrong)[name])
        yield
    finally:
        for user, name, value in changed:
            setattr(user, name, value)


def plant(mutant: Planted, network: IntegerNetwork, foldings: Foldings, folder: Path) -> None:
    """Writes the design of ``network``, with the mistake, into ``folder``."""
    with planted(mutant):
        write_rtl(network, folder, foldings=foldings, name=network.name)
