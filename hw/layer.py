"""One layer as an engine of its own: events in, events out, or, of the readout, results."""

from typing import Any

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import SynapseAccumulator
from hw.divisive import DivisiveInhibition
from hw.encoder import EventEncoder
from hw.folding import Folding
from hw.layouts import event_layout, result_layout
from hw.lif import LIFCore
from hw.population import PopulationUnit
from hw.readout import Readout
from hw.replay import Replay
from hw.stabiliser import Stabiliser
from quant.network import Layer
from quant.widths import LayerWidths

__all__ = ["LayerEngine"]

#: A part of an engine: any component with streams ``i`` and ``o``.
Stage = Any


def _synapse_stages(layer: Layer, widths: LayerWidths, folding: Folding) -> dict[str, Stage]:
    neurons = layer.neurons
    shunting = {} if neurons is None else {"d": widths.d, "g_i": neurons.g_i, "gain_i_bits": neurons.gain_i_bits}
    return {
        "accumulator": SynapseAccumulator(
            w_ee=layer.w_ee,
            w_ie=layer.w_ie,
            synapse_bits=layer.synapse_bits,
            value_bits=widths.x.width,
            i_ee=widths.i_ee,
            i_ie=widths.i_ie,
            lanes=folding.synapse_lanes,
        ),
        "population": PopulationUnit(
            w_ei=layer.w_ei,
            inhibition_bits=layer.inhibition_bits,
            a=layer.a,
            i_ee=widths.i_ee,
            i_ie=widths.i_ie,
            bal=widths.bal,
            population_lanes=folding.population_lanes,
            neuron_lanes=folding.neuron_lanes,
            **shunting,
        ),
    }
