"""The chapters of a report: from what is there to charts and tables, and what is missing to commands."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from amaranth import Shape

from hw.area import ERRORS, estimate
from hw.network import Network
from hw.spatial import SpatialNetwork
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from sw.data import DATASETS, how
from sw.report import charts
from sw.report.evidence import Evidence
from sw.report.page import Chart, Charts, Diagram, Engine, Missing, Part, Section, Stage, Table, Tile
from sw.report.results import Results
from sw.report.signals import LayerSignals
from sw.synth import design_lanes

__all__ = ["Commands", "sections", "tiles"]

#: Membranes of a layer that are drawn.
_TRACES = 6
#: Cells of the kinds that there are most of, by what their types are called in the families of devices.
_CELLS = {"look-up tables": re.compile(r"LUT\d$"), "flip-flops": re.compile(r"FF|^FD[RSCP]E$")}
#: Most bars of a chart.
_BARS = 24


@dataclass(frozen=True)
class Commands:
    """What to type for what is missing; ``here`` is whether the data set is."""

    evidence: Evidence
    data: str
    here: bool

    def __call__(self, verb: str, options: str = "", *, data: bool = False) -> str:
        """``verb`` with the network's file, then its options."""
        words = ["chandelier", verb, shlex.quote(str(self.evidence.path)), *options.split()]
        return " ".join([*words, *(["--data", shlex.quote(self.data)] if data else [])])

    @property
    def quantize(self) -> str:
        """For the integer network of a run."""
        return f"chandelier quantize {shlex.quote(str(self.evidence.run))}"

    @property
    def report(self) -> str:
        """For what a report measures itself, once there are samples."""
        return self("report", data=True) if self.here or self.data not in DATASETS else how(self.data)


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f} %"


def tiles(evidence: Evidence, results: Results | None) -> Iterator[Tile]:
    """The figures that a report begins with: those that there are."""
    if results is not None:
        if results.float_accuracy is not None:
            yield Tile("accuracy, float", _percent(results.float_accuracy), f"{len(results.classes):,} test samples")
        yield Tile("accuracy, quantised", _percent(results.accuracy()), f"{len(results.classes):,} test samples")
    if evidence.cosim is not None:
        cosim, values = evidence.cosim, sum(entry.values for entry in evidence.cosim.compared)
        verdict = f"{cosim.mismatches:,} mismatches" if not cosim.faults else "broken"
        yield Tile("co-simulation", verdict, f"{cosim.samples:,} samples, {values:,} values", bad=not cosim.passed)
    if results is not None and results.measured is not None:
        measured = results.measured
        lanes = f", lanes {design_lanes(measured.foldings)}" if _differ(evidence, results) else ""
        yield Tile("cycles between results", f"{measured.prediction.interval:,.1f}", f"exact, mean{lanes}")
    if evidence.synthesis is not None:
        yield from _synthesis_tiles(evidence, results)


def _synthesis_tiles(evidence: Evidence, results: Results | None) -> Iterator[Tile]:
    synthesis = evidence.synthesis
    assert synthesis is not None
    lanes = f", lanes {design_lanes(synthesis.foldings)}" if _differ(evidence, results) else ""
    if synthesis.clock.median is not None:
        yield Tile("clock", f"{synthesis.clock.median:.1f} MHz", synthesis.part + lanes)
    if (speed := _speed(evidence, results)) is not None:
        rate, latency = speed
        yield Tile("throughput", f"{rate:,.0f}/s", f"samples, at that clock{lanes}")
        yield Tile("latency", f"{latency:.2f} us", f"to a result, at that clock{lanes}")
    for kind, usage in list(synthesis.resources.items())[:1]:
        yield Tile(kind, f"{usage.used:,}", f"of {usage.available:,}" if usage.available else synthesis.part)


def _differ(evidence: Evidence, results: Results | None) -> bool:
    """Whether another design was synthesised than the one whose cycles are known."""
    if evidence.synthesis is None or results is None or results.measured is None:
        return False
    return evidence.synthesis.foldings != list(results.measured.foldings)


def _speed(evidence: Evidence, results: Results | None) -> tuple[float, float] | None:
    """Samples a second and microseconds to a result, where clock and cycles are of the same lanes."""
    synthesis = evidence.synthesis
    if synthesis is None or synthesis.clock.median is None:
        return None
    cycles = None if synthesis.cycles is None else (synthesis.cycles.interval, synthesis.cycles.latency)
    if results is not None and results.measured is not None and not _differ(evidence, results):
        cycles = (results.measured.prediction.interval, results.measured.prediction.latency)
    return None if cycles is None else (synthesis.clock.median * 1e6 / cycles[0], cycles[1] / synthesis.clock.median)


def sections(evidence: Evidence, results: Results | None, commands: Commands) -> list[Section]:
    """All chapters, in reading order."""
    made = [_training(evidence), _accuracy(evidence, results, commands)]
    if evidence.network is not None:
        made += [
            _layers(evidence.network, results, commands),
            _sample(evidence.network, results, commands),
            _hardware(evidence, evidence.network, results, commands),
            _cosim(evidence, commands),
        ]
    return made


def _training(evidence: Evidence) -> Section:
    title = "Training"
    if not evidence.epochs:
        command = "chandelier train CONFIG.toml"
        return Section("training", title, parts=[Missing("training curves", command)])
    epochs = list(enumerate(evidence.epochs, 1))
    first = next((x for x, epoch in epochs if epoch.phase == "quantised"), None)
    marks = {} if first is None else {"quantised from here on": first - 0.5}
    accuracy = {
        "training": [(x, epoch.train_accuracy) for x, epoch in epochs],
        "test": [(x, epoch.test_accuracy) for x, epoch in epochs],
    }
    loss = {"loss": [(x, epoch.loss) for x, epoch in epochs]}
    seconds = sum(epoch.seconds for epoch in evidence.epochs)
    text = f"{len(epochs)} epochs in {seconds:,.0f} s; the training accuracy is of augmented samples, if there are any."
    shown = [
        Chart(charts.lines("loss", "epoch", loss, marks=marks, from_zero=True), "Cross entropy, mean of an epoch."),
        Chart(
            charts.lines("accuracy, %", "epoch", accuracy, marks=marks, percent=True),
            "A drop where quantisation begins is what training then wins back.",
        ),
    ]
    return Section("training", title, text, [Charts(shown)])


def _accuracy(evidence: Evidence, results: Results | None, commands: Commands) -> Section:
    parts: list[Part] = []
    if evidence.network is None:
        return Section("accuracy", "Accuracy", parts=[Missing("the integer network", commands.quantize)])
    if results is None:
        return Section("accuracy", "Accuracy", parts=[Missing("accuracy", commands.report)])
    samples, rows = len(results.classes), list[tuple[object, ...]]()
    if results.float_accuracy is not None:
        rows.append(("floating point", _percent(results.float_accuracy), f"{samples:,}", "the trained network"))
    rows.append(("quantised", _percent(results.accuracy()), f"{samples:,}", "golden model"))
    cosim = evidence.cosim
    if cosim is not None and cosim.data == commands.data and cosim.samples <= samples and not cosim.faults:
        same = "every value that of the golden model" if not cosim.mismatches else f"{cosim.mismatches:,} values differ"
        right = _percent(results.accuracy(cosim.samples)) if not cosim.mismatches else "-"
        rows.append(("co-simulated", right, f"{cosim.samples:,}", f"generated Verilog: {same}"))
    parts.append(Table(rows, ("", "accuracy", "test samples", "of")))
    counts = results.confusion
    mistakes = [
        (counts[pair], pair) for pair in zip(*np.nonzero(counts * ~np.eye(len(counts), dtype=bool)), strict=True)
    ]
    worst = sorted(mistakes, key=lambda mistake: (-mistake[0], mistake[1]))[:8]
    caption = (
        "Rows are labels, columns what the quantised network says. The diagonal is right; what is off it is wrong."
    )
    parts.append(Charts([Chart(charts.confusion(counts), caption)]))
    if worst:
        said = [(label, wrong, count, _percent(count / counts[label].sum(), 1)) for count, (label, wrong) in worst]
        parts.append(Table(said, ("label", "taken for", "samples", "of that label"), "Most frequent mistakes"))
    return Section("accuracy", "Accuracy", f"On the test set of {results.data.name}.", parts)


def _layers(network: IntegerNetwork, results: Results | None, commands: Commands) -> Section:
    title = "Layers"
    if results is None:
        weights = [Charts([_weights(network, i)], _layer_name(network, i)) for i in range(len(network.layers))]
        return Section("layers", title, parts=[Missing("activity of the layers", commands.report), *weights])
    text = (
        f"Of the golden model on the first {results.samples:,} test samples. Excitatory and inhibitory currents are in "
        "steps of a synapse; potentials and currents that do not fit the membrane's format become its end."
    )
    parts: list[Part] = [_layer_table(results.layers)]
    for i, own in enumerate(results.layers):
        parts.append(Charts(list(_layer_charts(network, i, own)), _layer_name(network, i)))
    return Section("layers", title, text, parts)


def _layer_name(network: IntegerNetwork, index: int) -> str:
    layer, shape = network.layers[index], network.maps[index][1]
    pixels = f", on a map of {shape[0]}x{shape[1]}" if prod(shape[:2]) > 1 else ""
    kind = "readout: " if layer.neurons is None else ""
    return f"Layer {index}: {kind}{layer.n_e} E, {layer.n_i} I neurons{pixels}"


def _layer_table(layers: list[LayerSignals]) -> Table:
    head = ["layer", "firing rate", "silent", "inhibition / excitation", "denominators 0", "stabiliser acts"]
    head += ["currents saturated", "potentials saturated"]
    rows = []
    for i, own in enumerate(layers):
        excitation = own.excitation.sum()
        row = [i, "-", "-", f"{own.inhibition.sum() / excitation:.2f}" if excitation > 0 and own.layer.n_i else "-"]
        row += ["-"] * 4
        if own.layer.neurons is not None:
            row[1:3] = [f"{own.rates.mean():.3f}", _percent(own.silent, 1)]
            row[6:] = [_part(own.saturated_currents, own.currents), _part(own.saturated_potentials, own.updates)]
            if own.layer.n_i:
                row[4] = _percent(own.denominators[0] / own.denominators.sum(), 1)
                row[5] = _percent(own.stabilised, 1)
        rows.append(row)
    return Table(rows, head)


def _part(some: int, of: int) -> str:
    return f"{some:,} of {of:,}" if some else "0"


def _layer_charts(network: IntegerNetwork, index: int, own: LayerSignals) -> Iterator[Chart]:
    if own.layer.neurons is not None:
        yield Chart(charts.rates(own), "Left: neurons that never spike; right: at every step. Logarithmic above ten.")
    if own.layer.n_i:
        caption = "A point is a neuron; below the line it is excited more than inhibited."
        yield Chart(charts.currents_of_neurons(own), caption)
    if own.denominators.any():
        caption = "What currents are divided by. Where the outline is not the bars' height, the stabiliser acts."
        yield Chart(charts.denominators(own), caption)
    if own.layer.neurons is not None:
        yield Chart(charts.potentials(own), "Right of the threshold there is a spike. Logarithmic.")
    yield _weights(network, index)


def _weights(network: IntegerNetwork, index: int) -> Chart:
    layer = network.layers[index]
    said = f"w_ee, w_ie: {layer.synapse}" + (f"; w_ei: u{layer.inhibition_bits}.0 / {layer.a}" if layer.n_i else "")
    return Chart(charts.codes_of_weights(layer), f"{said}. A code that nobody has is a code too many.")


def _sample(network: IntegerNetwork, results: Results | None, commands: Commands) -> Section:
    if results is None:
        return Section("sample", "One sample", parts=[Missing("spikes and membranes", commands.report)])
    sample = results.sample
    text = f"Test sample {sample.number}: label {sample.label}, and the quantised network says {sample.predicted}."
    parts: list[Part] = []
    if sample.simulated is None:
        parts.append(Missing("spikes and membranes of the hardware", f"{commands.report} --simulate"))
    else:
        differ = sum(
            int(np.count_nonzero(wrong))
            for wrong in map(sample.wrong, range(len(network.layers) - 1))
            if wrong is not None
        )
        said = "its spikes are those of the golden model" if not differ else f"{differ:,} of its spikes differ"
        text += f" The Verilog was simulated with it: {said}, and circles are its potentials and logits."
    last = len(network.layers) - 1
    simulated = None if sample.simulated is None else sample.simulated[last, "logits"][0]
    shown = [
        _input_chart(network, results),
        Chart(charts.logits(sample.logits, simulated), "The largest is the class."),
    ]
    for i in range(last):
        shown += _spike_charts(network, results, i)
    return Section("sample", "One sample", text, [*parts, Charts(shown)])


def _input_chart(network: IntegerNetwork, results: Results) -> Chart:
    codes, spec = results.sample.codes, network.input
    shape = spec.map if min(spec.map[:2]) > 1 else results.data.image_shape
    if shape is None:
        steps = codes.reshape(-1, spec.features)
        return Chart(charts.raster("input", steps), "Input codes that are not zero.")
    if spec.kind == "sequence":
        codes = codes.mean(0)
    seen = "mean of the time steps" if spec.kind == "sequence" else "the same at every time step"
    return Chart(charts.picture(codes.reshape(shape), spec.format.max), f"Input codes of {spec.bits} bits, {seen}.")


def _spike_charts(network: IntegerNetwork, results: Results, index: int) -> Iterator[Chart]:
    sample, neurons = results.sample, network.layers[index].neurons
    assert neurons is not None
    spikes, u, v = (sample.golden[index, name] for name in ("spike", "u", "v"))
    wrong, shape = sample.wrong(index), network.maps[index][1]
    where = "" if wrong is None else " What the hardware does differently is red."
    if prod(shape[:2]) > 1:
        counts = spikes.sum(0).reshape(shape)
        different = None if wrong is None else np.any(wrong, axis=0).reshape(shape)
        said = f"Spikes in {len(spikes)} steps, a channel beside the other, the stronger the more."
        yield Chart(charts.spike_maps(f"layer {index}: spikes", counts, len(spikes), different), said + where)
    else:
        yield Chart(charts.raster(f"layer {index}: spikes", spikes, wrong), f"{int(spikes.sum()):,} spikes." + where)
    # Those that spike at about half of the steps, and of these those that come closest to the threshold.
    undecided = np.abs(2 * spikes.sum(0) - len(spikes))
    chosen = np.sort(np.lexsort((np.abs(u - neurons.theta).min(0), undecided))[:_TRACES])
    simulated = None if sample.simulated is None else sample.simulated[index, "v"]
    chart = charts.traces(f"layer {index}: membranes", chosen.tolist(), u, v, neurons.theta, simulated)
    yield Chart(
        chart,
        "Neurons that spike at some steps only, in thresholds: up to the potential, and by a spike down from it.",
    )


def _hardware(evidence: Evidence, network: IntegerNetwork, results: Results | None, commands: Commands) -> Section:
    title, parts = "Hardware", list[Part]()
    if evidence.design is None:
        parts.append(Missing("a generated design (what follows is of the default lanes)", commands("rtl")))
        text = ""
    else:
        text = f"The design in {evidence.design.folder}: {design_lanes(evidence.design.foldings)} lanes a layer."
    try:
        design = _design(evidence, network)
    except ChandelierError as error:
        parts.append(Table([("no hardware", error)]))
        return Section("hardware", title, text, parts)
    parts.append(_diagram(design, network))
    parts += _cycles(evidence, results, commands)
    parts += _memories(design)
    parts += _estimated_area(evidence, network, design) if evidence.synthesis is None else ()
    parts += _synthesis(evidence, results, commands)
    return Section("hardware", title, text, parts)


def _design(evidence: Evidence, network: IntegerNetwork) -> Network | SpatialNetwork:
    """The components of the design, from which nothing is generated."""
    if evidence.design is None:
        return Network(network)
    if evidence.design.foldings == "spatial":
        return SpatialNetwork(network)
    loadable = evidence.design.manifest.load is not None
    return Network(network, evidence.design.foldings, shape=network if loadable else None)


def _diagram(design: Network | SpatialNetwork, network: IntegerNetwork) -> Diagram:
    engines = []
    for i, layer in enumerate(network.layers):
        stages = [
            Stage(name, _lanes(design, i, name), Shape.cast(stage.o.p.shape()).width)
            for name, stage in design.engines[i].stages.items()
        ]
        sources = layer.wiring.sources_of(i)
        said = " and ".join("the input" if j < 0 else f"layer {j}" for j in sources)
        heard = "" if sources == (i - 1,) else f", from {said}"
        engines.append(Engine(f"Layer {i}", f"{layer.n_e} E, {layer.n_i} I{heard}", stages))
    caption = (
        "A box is a component, with what it computes in a cycle; a number on an arrow is the width of the stream, in "
        "bits. All work at the same time, on different neurons, time steps and samples."
    )
    return Diagram(Shape.cast(design.i.p.shape()).width, engines, caption)


def _lanes(design: Network | SpatialNetwork, layer: int, stage: str) -> str:
    """What a stage computes in a cycle, in words; nothing of those that only pass events on."""
    if isinstance(design, SpatialNetwork):
        return "all"
    folding = design.foldings[layer]
    special = {"accumulator": f"{folding.synapse_lanes} synapses", "placer": "", "scanner": "", "splitter": ""}
    special["population"] = f"{folding.population_lanes} I, {folding.neuron_lanes} E"
    return special.get(stage, f"{folding.neuron_lanes} neuron{'s' * (folding.neuron_lanes > 1)}")


def _cycles(evidence: Evidence, results: Results | None, commands: Commands) -> Iterator[Part]:
    timing = evidence.design.manifest.timing if evidence.design else None
    if timing is not None:
        fixed = [("from sample to sample", timing.interval), ("to a result", timing.latency)]
        yield Table(fixed, ("cycles", ""), "Cycles", "Whatever the input.")
        return
    if results is None:
        yield Missing("cycles of each stage", commands.report)
    elif results.measured is not None:
        measured = results.measured
        slowest = "layer {} {}".format(*measured.prediction.slowest)
        stages = {f"layer {i} {stage}": cycles for (i, stage), cycles in measured.prediction.stages.items()}
        caption = "How long each stage works on a sample, by mean events; the slowest, marked, decides the rate."
        shown = [Chart(charts.bars("cycles a sample", "", _largest(stages), marked=slowest, digits=1), caption)]
        shown += _exact_charts(measured.cycles.intervals, measured.cycles.latencies)
        rows: list[tuple[object, object]] = [
            ("between results", f"{measured.prediction.interval:,.1f} (exact)"),
            ("to a result", f"{measured.prediction.latency:,.1f} (exact)"),
            ("synaptic operations a sample", f"{measured.total.synaptic:,.0f}"),
            ("memory bits read a sample", f"{measured.total.read:,.0f}"),
            ("synapse lanes that add, by layer", ", ".join(_percent(busy, 0) for busy in measured.busy)),
        ]
        yield Charts(shown, "Where the time goes")
        yield Table(rows, ("", f"mean of {results.samples:,} samples"))


def _exact_charts(intervals: np.ndarray, latencies: np.ndarray) -> Iterator[Chart]:
    if intervals.size:
        yield Chart(charts.histogram("cycles between results", "cycles", intervals), "The fewer events, the fewer.")
    caption = "With samples one behind the other: what is before a sample in the queue counts, too."
    yield Chart(charts.histogram("cycles to a result", "cycles", latencies), caption)


def _largest(values: Mapping[str, float]) -> dict[str, float]:
    """The largest of the values, in their order."""
    least = sorted(values.values(), reverse=True)[:_BARS][-1]
    return {name: value for name, value in values.items() if value >= least}


def _memories(design: Network | SpatialNetwork) -> Iterator[Part]:
    if isinstance(design, SpatialNetwork):
        return
    bits = {
        f"layer {i} {memory.replace('_', ' ')}": float(size)
        for i, engine in enumerate(design.engines)
        for memory, size in engine.memory_bits.items()
    }
    caption = f"{sum(bits.values()):,.0f} bits in all, without queues and pipelines."
    yield Charts([Chart(charts.bars("bits of memory", "", _largest(bits)), caption)], "Where the memory goes")


def _estimated_area(evidence: Evidence, network: IntegerNetwork, design: Network | SpatialNetwork) -> Iterator[Part]:
    """What ``info`` says as well; nothing of designs that the area model does not know."""
    loadable = evidence.design is not None and evidence.design.manifest.load is not None
    if loadable or isinstance(design, SpatialNetwork):
        return
    try:
        area = estimate(network, design.foldings)
    except ChandelierError:
        return
    figures = zip(("LUT", "FF", "BRAM", "DSP"), vars(area).values(), ERRORS.values(), strict=True)
    rows = [(kind, f"{cells:,}", f"{_percent(mean, 1)}, {_percent(most, 1)}") for kind, cells, (mean, most) in figures]
    caption = (
        "Not measured: an estimate for an ECP5, from the widths and lanes of this design. The errors are those of "
        "random designs, which were synthesised to compare."
    )
    yield Table(rows, ("", "estimated", "mean, largest error"), "Area, estimated", caption)


def _synthesis(evidence: Evidence, results: Results | None, commands: Commands) -> Iterator[Part]:
    synthesis = evidence.synthesis
    if synthesis is None:
        yield Missing("area, clock and worst path", commands("synth", "--device ecp5-85f", data=True))
        return
    rows: list[tuple[object, object]] = [
        ("device", synthesis.part),
        ("tools", ", ".join(synthesis.tools)),
        ("lanes", design_lanes(synthesis.foldings)),
        ("weights", "loadable" if synthesis.loadable else "fixed"),
        *synthesis.resources.items(),
        ("of these, shell", f"{synthesis.shell_flip_flops} flip-flops around the design"),
    ]
    rows += [(f"seed {run.seed}", f"{run.clock:.1f} MHz; worst path {run.path}") for run in synthesis.runs]
    if (speed := _speed(evidence, results)) is not None:
        rows.append(("speed", f"{speed[0]:,.0f} samples/s, {speed[1]:.2f} us to a result, at the median clock"))
    yield Table(rows, title=f"Synthesis for {synthesis.device}")
    shown = [
        Chart(charts.bars(f"{kind} by stage", "", _largest(used), marked=max(used, key=lambda stage: used[stage])))
        for kind, pattern in _CELLS.items()
        if sum((used := _cells(synthesis.stages, pattern)).values())
    ]
    if shown:
        yield Charts(shown, "Where the area goes")
        types = sorted({kind for cells in synthesis.stages.values() for kind in cells})
        counts = [
            (_spaced(stage), *(cells.get(t, 0) or "" for t in types)) for stage, cells in synthesis.stages.items()
        ]
        caption = (
            "Cells of yosys' netlist before they are packed; logic that stages share, or that was moved across their "
            "borders, is where yosys named it."
        )
        yield Table(counts, ("", *types), caption=caption)


def _cells(stages: Mapping[str, Mapping[str, int]], pattern: re.Pattern[str]) -> dict[str, float]:
    """Of each stage that has any, the cells whose types fit."""
    counts = {_spaced(s): float(sum(n for t, n in cells.items() if pattern.search(t))) for s, cells in stages.items()}
    return {stage: count for stage, count in counts.items() if count}


def _spaced(stage: str) -> str:
    """``layer0.lif`` as ``layer 0 lif``."""
    return re.sub(r"^layer(\d+)\.", r"layer \1 ", stage)


def _cosim(evidence: Evidence, commands: Commands) -> Section:
    title, cosim = "Co-simulation", evidence.cosim
    if cosim is None:
        command = commands("cosim", "--samples all", data=True)
        return Section("cosim", title, parts=[Missing("hardware against golden model", command)])
    lanes = (
        cosim.lanes
        if cosim.lanes == "spatial"
        else "; ".join(f"{f.synapse_lanes}/{f.population_lanes}/{f.neuron_lanes}" for f in cosim.lanes)
    )
    rows: list[tuple[object, object]] = [
        ("data", f"{cosim.data}, the first {cosim.samples:,} test samples"),
        ("lanes", lanes),
        ("weights", "loadable" if cosim.loadable else "fixed"),
        ("stalls", f"{cosim.stalls:g} a cycle, seed {cosim.seed}" if cosim.stalls else "none"),
        ("values compared", f"{sum(entry.values for entry in cosim.compared):,} of {len(cosim.compared)} signals"),
        ("mismatches", f"{cosim.mismatches:,}"),
    ]
    rows += [("first difference", cosim.first)] if cosim.first else []
    rows += [("fault", fault) for fault in cosim.faults]
    rows += [
        (f"planted: wrong {p.kind}", f"{p.place}; {f'found: {p.found}' if p.found else 'NOT FOUND'}")
        for p in cosim.planted
    ]
    rows += [("cycles between results", cosim.interval)] if cosim.interval else []
    rows += [("cycles to a result", cosim.latency)] if cosim.latency else []
    rows.append(("simulated", f"{cosim.cycles:,} cycles in {cosim.seconds:.1f} s"))
    text = (
        "The generated Verilog against the golden model, value by value; then, with wrong bits planted in copies of it."
    )
    signals = [(f"layer {entry.layer}", entry.signal, f"{entry.values:,}") for entry in cosim.compared]
    return Section("cosim", title, text, [Table(rows), Table(signals, ("", "signal", "values compared"))])
