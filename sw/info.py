"""What ``chandelier info`` shows of an integer network: shapes, formats, memories, cycles, and its work on samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from hw.area import estimate
from hw.cycles import predict_cycles, sources
from hw.folding import DENSITY, Folding
from hw.network import Network
from quant.errors import ChandelierError
from quant.maps import Window
from quant.network import IntegerNetwork, Neurons
from quant.widths import network_widths
from sw.console import key_value_table

# Torch is imported by what measures; what only shows a network does without.
if TYPE_CHECKING:
    from sw.activity import Measurement

__all__ = ["network_tables"]


def _columns(title: str, rows: dict[str, list[str]], layers: int) -> Table:
    """A table with a column for each layer."""
    table = Table(title=title, title_justify="left")
    table.add_column("", style="bold", overflow="fold")
    for i in range(layers):
        table.add_column(f"layer {i}" if i < layers - 1 else f"layer {i} (readout)", overflow="fold")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _input_map(network: IntegerNetwork, i: int) -> str:
    """Shape of a layer's pooled input, and how it comes about if not directly from the layer before."""
    wiring = network.layers[i].wiring
    sources, (height, width) = wiring.sources_of(i), wiring.pool
    text = "x".join(map(str, network.maps[i][0]))
    if (height, width) != (1, 1):
        text += f", pooled {height}x{width}"
    if sources != (i - 1,):
        text += f", of layers {', '.join(map(str, sources))}"
    return text


def _window(window: Window | None) -> str:
    """A convolution's window; a dash for a fully connected layer."""
    if window is None:
        return "-"
    (height, width), stride, padding = window.kernel, window.stride, window.padding
    return f"{height}x{width}, stride {stride[0]}x{stride[1]}, padding {padding[0]}x{padding[1]}"


def _leak_of(neurons: Neurons) -> str:
    tau = f"tau {2**neurons.tau_shift / neurons.leak:g}" if neurons.leak else "no leak"
    return tau if neurons.reset == "subtract" else f"{tau}, reset {neurons.reset}"


def _parameters(network: IntegerNetwork) -> Table:
    names = ("input map", "output map", "window", "inputs", "E, I neurons", "w_ee, w_ie", "w_ei", "g_i", "g_e")
    rows: dict[str, list[str]] = {name: [] for name in (*names, "stabilisation", "membrane", "reciprocal table")}
    for i, layer in enumerate(network.layers):
        neurons = layer.neurons
        rows["input map"].append(_input_map(network, i))
        rows["output map"].append("x".join(map(str, network.maps[i][1])))
        rows["window"].append(_window(layer.wiring.window))
        rows["inputs"].append(f"{layer.d}")
        rows["E, I neurons"].append(f"{layer.n_e}, {layer.n_i}")
        zeros = 1 - (np.count_nonzero(layer.w_ee) + np.count_nonzero(layer.w_ie)) / (layer.w_ee.size + layer.w_ie.size)
        rows["w_ee, w_ie"].append(f"{layer.synapse}, {100 * zeros:.0f} % zero")
        rows["w_ei"].append(f"u{layer.inhibition_bits}.0 / {layer.a}" if layer.n_i else "-")
        rows["g_i"].append(f"u{neurons.gain_i_bits}.0" if neurons and layer.n_i else "-")
        rows["g_e"].append(f"u{neurons.gain_e_bits}.0" if neurons else "-")
        rows["membrane"].append(f"{neurons.membrane}, {_leak_of(neurons)}" if neurons else "-")
        table = neurons and neurons.reciprocal
        floor = f"floor {neurons.floor}" if neurons and neurons.floor else "adaptive"
        rows["stabilisation"].append(floor if table else "-")
        rows["reciprocal table"].append(
            f"{2**table.index_bits} x {table.bits} bits, error <= {100 * table.error_bound:.1f} %" if table else "-"
        )
    return _columns("parameters", rows, len(network.layers))


def _formats(network: IntegerNetwork) -> Table:
    widths = network_widths(network)
    rows = {name: [str(getattr(w, name) or "-") for w in widths] for name in vars(widths[0])}
    return _columns("proven formats", rows, len(widths))


def _hardware(network: IntegerNetwork, given: Sequence[Folding] | None, measured: "Measurement | None") -> list[Table]:
    try:
        design = Network(network, given)
    except ChandelierError as error:
        return [key_value_table("hardware", {"none yet": error})]
    foldings, engines = design.foldings, design.engines
    guess = [DENSITY * most for most in sources(network)]
    prediction = measured.prediction if measured else predict_cycles(network, foldings, guess)
    rows = {
        "synapse, population, neuron lanes": [
            f"{f.synapse_lanes}, {f.population_lanes}, {f.neuron_lanes}" for f in foldings
        ],
        "memory bits": [f"{sum(engine.memory_bits.values()):,}" for engine in engines],
        "cycles a sample": [
            ", ".join(f"{stage} {cycles:.0f}" for (i, stage), cycles in prediction.stages.items() if i == layer)
            for layer in range(len(engines))
        ],
    }
    table = _columns("hardware, default folding" if given is None else "hardware", rows, len(engines))
    area = key_value_table("area", {"estimated": _area(network, foldings)})
    if measured:
        return [table, area, *_measured(network, measured)]
    layer, stage = prediction.slowest
    summary = {
        "predicted interval": f"{prediction.interval:.0f} cycles a sample (slowest: {stage} of layer {layer})",
        "predicted latency": f"{prediction.latency:.0f} cycles",
        "assumed": f"{100 * DENSITY:.0f} % of all inputs and neurons active; a clock of 100 MHz has 10 ns a cycle",
    }
    return [table, area, key_value_table("cycles", summary)]


def _area(network: IntegerNetwork, foldings: Sequence[Folding]) -> str:
    """What the design takes, without synthesis."""
    try:
        area = estimate(network, foldings)
    except ChandelierError as error:
        return f"nothing: {error}"
    cells = f"{area.luts:,} LUT, {area.ffs:,} FF, {area.brams:,} BRAM, {area.dsps:,} DSP"
    return f"{cells} of an ECP5, without synthesis (docs/synthesis.md#estimated)"


def _measured(network: IntegerNetwork, measured: "Measurement") -> list[Table]:
    """What the samples of a data set make the network do."""
    operations, layers = measured.operations, len(network.layers)
    rows = {
        "inputs not zero": [f"{own.inputs / network.layer_steps(i):,.1f} a step" for i, own in enumerate(operations)],
        "neurons that spike": [*(f"{100 * share:.1f} %" for share in measured.activity[1:]), "-"],
        "synaptic operations": [f"{own.synaptic:,.0f}" for own in operations],
        "inhibitory products": [f"{own.inhibitory:,.0f}" for own in operations],
        "currents, potentials": [f"{own.currents:,.0f}, {own.updates:,.0f}" for own in operations],
        "memory bits read, written": [f"{own.read:,.0f}, {own.written:,.0f}" for own in operations],
        "synapse lanes that add": [f"{100 * busy:.0f} %" for busy in measured.busy],
    }
    layer, stage = measured.prediction.slowest
    summary = {
        "cycles between results": measured.interval or "-",
        "cycles to a result": measured.latency,
        "slowest stage": f"{stage} of layer {layer}, by mean events",
        "synaptic operations": f"{measured.total.synaptic:,.0f} a sample",
        "memory bits read": f"{measured.total.read:,.0f} a sample",
        "energy": f"{measured.energy / 1000:,.2f} nJ a sample, of operations and memories alone (docs/cli.md#energy)",
    }
    title = f"{measured.data}, {measured.samples:,} samples"
    return [_columns(f"{title}, of a sample on average", rows, layers), key_value_table(title, summary)]


def network_tables(
    network: IntegerNetwork, foldings: Sequence[Folding] | None = None, measured: "Measurement | None" = None
) -> list[Table]:
    """The tables, in reading order; hardware of the default folding if there is no other.

    What was ``measured`` with these foldings takes the place of what is predicted without samples.
    """
    spec = network.input
    rows = {
        "input": f"{spec.features} features of {spec.bits} bits, {spec.kind}, threshold {spec.threshold:g}",
        "time steps": network.steps,
        "classes": network.classes,
        "synapses": f"{sum(layer.w_ee.size + layer.w_ie.size + layer.w_ei.size for layer in network.layers):,}",
    }
    return [
        key_value_table(network.name, rows),
        _parameters(network),
        _formats(network),
        *_hardware(network, foldings, measured),
    ]
