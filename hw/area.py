"""An estimate of what a design takes of an ECP5, from its geometry, without synthesis.

Block memories and multipliers follow from the geometry by the rules of yosys. Look-up tables and flip-flops are sums
of what stages are made of (adders, multiplexers, products, registers, in bits), times coefficients, which
``benchmarks/area.py`` fits to real syntheses.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hw.accumulator import LANES_A_RESET, QUEUE_DEPTH
from hw.divisive import PART, DivisiveInhibition
from hw.folding import Folding, Foldings, check_foldings
from hw.global_inhibition import is_global
from hw.order import walk_of
from hw.packing import ceil_div
from hw.population import ROOM, equal_gain
from hw.product import NARROW
from hw.stabiliser import Stabiliser
from hw.synapses import LANES_A_COPY
from quant.errors import ChandelierError
from quant.formats import Format
from quant.network import IntegerNetwork, Layer, Neurons
from quant.widths import LayerWidths, network_widths

__all__ = ["ERRORS", "Area", "Coefficients", "Stage", "estimate", "stages", "total"]

#: Kind of stage -> what its area is made of -> cells a bit.
Coefficients = Mapping[str, Mapping[str, float]]

#: Depth of an ECP5's block memory by the width of its words.
_BLOCKS = {1: 16384, 2: 8192, 4: 4096, 9: 2048, 18: 1024, 36: 512}
#: What yosys counts for a block memory, for a small one of 16 words of 4 bits, for a bit chosen between two of these,
#: and for a constant bit in logic: it takes what costs least (its techlibs/lattice and memory_libmap.cc).
_BLOCK_COST, _SMALL_COST, _CHOICE_COST, _CONSTANT_COST = 128, 4, 1 / 2, 1 / 16
#: Products of so many bits of both factors together are look-up tables alone.
_TABLED = 6
#: Look-up tables of such a small memory: four that hold it, and two that write.
_SMALL_LUTS = 6

#: Look-up tables, and flip-flops, of each of the cells that a stage is reckoned to have, and, as ``one``, of a stage
#: itself: what ``make area`` prints. Close to 1 where the reckoning is right.
LUTS: Coefficients = {
    "accumulator": {
        "one": 23.24,
        "deep reads": 0.0,
        "products": 0.6,
        "adders": 0.78,
        "compressors": 1.04,
        "signs": 1.47,
        "gates": 0.0,
        "constants": 1.36,
    },
    "shell": {"one": 63.82, "ports": 1.69},
    "serialiser": {"one": 128.42, "shadows": 1.14},
    "scaling": {"one": 52.19, "constants": 0.0, "adders": 0.0, "saturated": 3.19},
    "replay": {"one": 12.51, "deep reads": 0.0, "choices": 0.7, "bypass": 0.27},
    "lif": {"one": 37.07, "deep reads": 1.51, "adders": 1.02, "choices": 1.22, "bypass": 1.96},
    "encoder": {"one": 0.11, "adders": 1.0, "lowest": 7.48},
    "readout": {"one": 8.52, "adders": 1.44, "choices": 2.35},
    "population": {
        "one": 72.79,
        "shadows": 1.07,
        "constants": 1.25,
        "deep reads": 0.0,
        "adders": 0.69,
        "products": 0.51,
        "compressors": 1.26,
        "totals": 1.6,
        "nobody": 0.0,
    },
    "divisive": {
        "one": 75.1,
        "constants": 1.52,
        "deep reads": 1.19,
        "normalisers": 0.77,
        "tables": 2.35,
        "adders": 0.77,
        "shifts": 0.87,
        "saturated": 1.19,
    },
    "stabiliser": {"one": 33.99, "deep reads": 1.44, "adders": 0.7, "choices": 0.85, "present": 0.7, "bypass": 2.71},
    "floor": {"one": 0.0, "choices": 1.31},
}
FFS: Coefficients = {
    "accumulator": {
        "one": 5.83,
        "read": 0.33,
        "addresses": 1.52,
        "rings": 1.01,
        "weights": 0.21,
        "products": 1.05,
        "copies": 1.63,
        "sums": 0.47,
    },
    "shell": {"one": 39.17, "ports": 1.42},
    "serialiser": {"one": 42.85, "shadows": 0.92, "results": 2.3},
    "scaling": {"one": 4.08, "read": 0.35, "results": 0.68},
    "replay": {"one": 2.85, "read": 0.33, "bypass": 1.49},
    "lif": {"one": 17.61, "read": 0.26, "potentials": 0.82, "bypass": 1.72},
    "encoder": {"one": 0.02, "spikes": 1.24, "indices": 0.99},
    "readout": {"one": 11.59, "logits": 1.1, "largest": 1.8},
    "population": {
        "one": 37.55,
        "shadows": 1.02,
        "read": 0.88,
        "weights": 0.9,
        "currents": 0.97,
        "multiples": 1.18,
        "products": 1.13,
        "fours": 0.38,
        "sums": 0.45,
        "totals": 0.84,
    },
    "divisive": {
        "one": 37.35,
        "read": 1.18,
        "normalisers": 0.94,
        "balances": 0.92,
        "factors": 1.1,
        "biases": 1.16,
        "shifted": 0.98,
    },
    "stabiliser": {"one": 0.0, "read": 0.78, "leaving": 0.93, "keys": 1.03, "bypass": 2.52},
    "floor": {"one": 0.0, "beat": 0.83},
}
#: Mean and largest relative error of each figure, on designs that the coefficients were not fitted to: what ``make
#: area`` prints last.
ERRORS: Mapping[str, tuple[float, float]] = {
    "luts": (0.056, 0.235),
    "ffs": (0.019, 0.074),
    "brams": (0.0, 0.0),
    "dsps": (0.0, 0.0),
}


@dataclass(frozen=True)
class Area:
    """Cells of an ECP5 that a design takes, with the shell that it is synthesised in (``hw.shell``).

    They are those that ``hw.synthesis`` counts as LUT, FF, BRAM and DSP.
    """

    luts: int
    ffs: int
    brams: int
    dsps: int


@dataclass
class Stage:
    """What is known of a stage before it is synthesised.

    Parameters
    ----------
    name : str
        As ``hw.netlist`` names it, like ``layer0.lif``.
    kind : str
        Which coefficients are its.
    luts, ffs : dict
        What its logic and its registers are proportional to.
    smalls, brams, dsps : int
        Its memories in look-up tables, of 16 words of 4 bits, block memories and multipliers.
    """

    name: str
    kind: str
    luts: dict[str, float] = field(default_factory=lambda: {"one": 1.0})
    ffs: dict[str, float] = field(default_factory=lambda: {"one": 1.0})
    smalls: int = 0
    brams: int = 0
    dsps: int = 0

    def add_memory(self, width: int, depth: int, *, constant: bool = False) -> None:
        """A memory of so many words; in the cheapest of block memories, small ones and, if constant, logic."""
        rows = ceil_div(depth, 16)
        smalls = ceil_div(width, 4) * rows
        small = smalls * _SMALL_COST + (rows - 1) * width * _CHOICE_COST
        # Words beyond the depth of a block may stand beside the others, if nothing is written.
        blocks, block = min(
            (
                ceil_div(width * sides, w) if constant else ceil_div(width, w) * sides,
                (sides - 1) * width * _CHOICE_COST,
            )
            for w, d in _BLOCKS.items()
            if (sides := ceil_div(depth, d))
        )
        block += blocks * _BLOCK_COST
        if constant and block > width * depth * _CONSTANT_COST:
            self.add_logic("constants", width * rows)
            self.add_registers("read", width)
        elif constant or block < small:
            self.brams += blocks
            if not constant:  # what is written while it is read goes around the memory
                self.add_logic("bypass", width)
                self.add_registers("bypass", width)
        else:
            self.smalls += smalls
            self.add_logic("deep reads", width * (rows - 1))
            self.add_registers("read", width)

    def add_products(self, count: int, code: Format, value: int) -> None:
        """So many ``hw.product.narrow_product`` of a code and a value of so many bits."""
        if value == 1:
            self.add_logic("gates", count * code.width)
        elif code.width > NARROW:
            self.dsps += count
        else:
            magnitude, bits = code.width - code.signed, code.width + value
            digits = ceil_div(magnitude, 2) if bits > _TABLED else 1  # without sums, if a bit is a function of few
            self.add_logic("products", count * bits * min(2, magnitude) * digits)
            self.add_sums(count, digits, bits)
            if code.signed:
                self.add_logic("signs", count * (bits + 4))

    def add_adders(self, count: float, bits: int) -> None:
        """So many carry chains, of two bits a cell, with what brings carries in and out."""
        self.add_logic("adders", count * (2 * ceil_div(bits, 2) + 4))

    def add_sums(self, count: float, terms: int, bits: int) -> None:
        """So many sums of so many terms: logic makes two of them, bit by bit, and a carry chain adds these."""
        self.add_adders(count * (terms > 1), bits)
        self.add_logic("compressors", count * max(0, terms - 2) * bits * 2)

    def add_queue(self, width: int, depth: int) -> None:
        """A buffered FIFO, whose last word is in registers."""
        self.add_memory(width, depth - 1)

    def add_logic(self, name: str, bits: float) -> None:
        """So many bits of a kind of logic."""
        self._add(self.luts, name, bits)

    def add_registers(self, name: str, bits: float) -> None:
        """So many bits of a kind of register."""
        self._add(self.ffs, name, bits)

    @staticmethod
    def _add(features: dict[str, float], name: str, bits: float) -> None:
        features[name] = features.get(name, 0.0) + bits


def _accumulator(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    events, words = folding.events(layer), folding.words(layer)
    lanes, code, value = folding.synapse_lanes // events, layer.synapse, widths.x.width
    for _ in range(events):
        stage.add_memory(lanes * code.width, ceil_div(layer.d, events) * words, constant=True)
    stage.add_queue(events * ((ceil_div(layer.d, events) - 1).bit_length() + value) + 1, QUEUE_DEPTH)
    stage.add_products(events * lanes, code, value)
    product = code.width + value * (value > 1)
    currents = [widths.i_ee.width] * layer.n_e + [widths.i_ie.width] * layer.n_i
    heads = [max(currents[lane::lanes]) for lane in range(lanes)]
    for width in heads:
        stage.add_adders(1, width)
    if events > 1:
        stage.add_sums(lanes, events, product + 2)
        stage.add_registers("sums", lanes * (product + (events - 1).bit_length()))
    stage.add_registers("addresses", events * ((ceil_div(layer.d, events) * words - 1).bit_length() + value))
    stage.add_registers("rings", words * sum(heads))
    stage.add_registers("weights", events * lanes * code.width)
    stage.add_registers("products", events * lanes * product)
    stage.add_registers("copies", events * ceil_div(lanes, LANES_A_COPY) * (2 * value + 2 if value > 1 else 1))
    stage.add_registers("copies", 2 * ceil_div(lanes, LANES_A_RESET))


def _shadow(stage: Stage, width: int, words: int) -> None:
    """Registers that are filled at once, and move up by a word (``hw.shadow``)."""
    stage.add_registers("shadows", width * words)
    stage.add_logic("shadows", width * (words - 1))


def _population(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    lanes, neurons, alike = folding.population_lanes, folding.neuron_lanes, is_global(layer)
    groups, chunks = folding.groups(layer), folding.chunks(layer)
    i_ee, i_ie, bal = widths.i_ee.width, widths.i_ie.width, widths.bal.width
    d = widths.d.width if widths.d else 0
    rows, code = 1 if alike else neurons, Format(layer.inhibition_bits)
    gains = layer.neurons.gain_i_bits if layer.neurons and equal_gain(layer.neurons.g_i) is None else 0
    _shadow(stage, neurons * i_ee, groups)
    _shadow(stage, lanes * i_ie, chunks)
    stage.add_memory(rows * lanes * code.width, chunks * (1 if alike else groups), constant=True)
    filled = bool(layer.n_e % neurons)
    stage.add_queue(bal * neurons + d + (filled or d > 0) if alike else (bal + d) * neurons, ROOM)
    stage.add_registers("weights", 2 * rows * lanes * code.width)
    values = [i_ie]
    if gains:
        stage.add_memory(lanes * gains, chunks, constant=True)
        stage.add_products(lanes, Format(gains), i_ie)
        values.append(i_ie + gains)
    stage.add_registers("currents", 2 * lanes * i_ie)
    for value in values:
        stage.add_registers("multiples", lanes * (2 * value + 2))
        stage.add_adders(lanes * (code.width > 1), value + 2)
        product = value + code.width * (code.width > 1)
        stage.add_products(rows * lanes, code, value)
        stage.add_registers("products", rows * lanes * product)
        stage.add_registers("fours", rows * ceil_div(lanes, 4) * (product + 2))
        stage.add_registers("sums", rows * (product + (lanes - 1).bit_length()))
        stage.add_sums(rows * ceil_div(lanes, 4), min(lanes, 4), product + 2)
        stage.add_sums(rows, ceil_div(lanes, 4), product + 4)
    multiplied = min(bal, i_ee + layer.a.bit_length())
    stage.add_adders(neurons * (layer.a.bit_count() - 1), multiplied)
    stage.add_adders(neurons + alike, bal)
    stage.add_logic("totals", rows * (bal + d))
    stage.add_adders(rows * (d > 0), d)
    stage.add_registers("currents", neurons * (i_ee * (not alike) + multiplied * (1 if alike else 5)))
    stage.add_registers("totals", rows * (bal + d) + neurons * bal * alike)
    if alike and filled:
        stage.add_logic("nobody", neurons * (bal + d))


def _serialiser(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    neurons = folding.neuron_lanes
    _shadow(stage, neurons * widths.i_ee.width, folding.groups(layer))
    stage.add_registers("results", neurons * widths.bal.width)
    stage.dsps += _multipliers(widths.i_ee.width, layer.a.bit_length()) * neurons * (layer.a.bit_count() > 1)


def _multipliers(a: int, b: int) -> int:
    """Multipliers of the device in a product of factors of so many bits; one or two bits more are left to logic."""
    return math.prod(1 if bits <= PART + 2 else ceil_div(bits - 2, PART) for bits in (a, b))


def _stabiliser(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    assert widths.d is not None
    lanes, beat, d = folding.neuron_lanes, widths.bal.width + widths.d.width, widths.d.width
    for width in (lanes * (beat + 1), 1):
        stage.add_queue(width, Stabiliser.depth(folding.groups(layer)))
    stage.add_queue(d, 3)
    stage.add_registers("leaving", lanes * (2 * beat + 1) + d)
    levels = [lanes, ceil_div(lanes, 2), ceil_div(lanes, 4), 2]
    stage.add_registers("keys", sum(levels) * (d + 1))
    stage.add_adders(lanes, d + 1)
    stage.add_logic("choices", lanes * (2 * d + 1))
    stage.add_logic("present", lanes * d)


def _floor(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    assert widths.d is not None
    stage.add_registers("beat", folding.neuron_lanes * (widths.bal.width + widths.d.width))
    stage.add_logic("choices", folding.neuron_lanes * widths.d.width)


def _parameters(stage: Stage, neurons: Neurons, folding: Folding, layer: Layer) -> tuple[int, int]:
    """The memory of gains and biases; how many bits of each differ: what is alike in logic is there once."""
    lanes, depth = folding.neuron_lanes, folding.groups(layer)
    widths = neurons.gain_e_bits, neurons.membrane.width
    brams = stage.brams
    stage.add_memory(lanes * sum(widths), depth, constant=True)
    if stage.brams > brams:
        return lanes * widths[0], lanes * widths[1]
    gains, biases = (
        _columns(values, width, lanes) for values, width in zip((neurons.g_e, neurons.b_e), widths, strict=True)
    )
    return gains, biases


def _columns(values: np.ndarray, width: int, lanes: int) -> int:
    """Bits of words of ``lanes`` values that are not constant, and no two of them always the same."""
    filled = np.pad(values.astype(np.int64), (0, -len(values) % lanes))
    bits = (filled.reshape(-1, lanes, 1) >> np.arange(width) & 1).reshape(-1, lanes * width)
    return np.unique(bits[:, bits.min(axis=0) < bits.max(axis=0)], axis=1).shape[1]


def _divisive(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    neurons = layer.neurons
    assert neurons and neurons.reciprocal and widths.d and widths.product
    lanes, tables = folding.neuron_lanes, 1 if is_global(layer) else folding.neuron_lanes
    d, r, g, bal = widths.d.width, neurons.reciprocal.bits, neurons.gain_e_bits, widths.bal.width
    product, current, entries = widths.product.width, neurons.membrane.width, 1 << neurons.reciprocal.index_bits
    place = (d - 1).bit_length()
    gains, biases = _parameters(stage, neurons, folding, layer)
    stage.add_queue(lanes * current, DivisiveInhibition.ROOM)
    stage.add_logic("normalisers", tables * (1 << place) * (place + 1))
    stage.add_logic("tables", tables * ceil_div(entries, 16) * r)
    stage.add_registers("normalisers", tables * (5 * (1 << place) + 13 * place + 3 * r))
    stage.add_registers("balances", lanes * 10 * bal)
    stage.add_registers("factors", lanes * 2 * (g + r) + 2 * gains)
    stage.add_registers("biases", 9 * biases)
    parts = [bal] if bal <= PART + 1 else [PART, bal - PART]
    # The last part has a sign, and so the other factor gets one.
    factors = [_multipliers(g + r + (part is parts[-1]), part) for part in parts]
    stage.dsps += lanes * (_multipliers(g, r) + sum(factors))
    stage.add_adders(lanes * (len(parts) - 1), product)
    shifted = product - min(neurons.shift, product - 1)
    stage.add_registers("shifted", lanes * (product + 4 * shifted))
    stage.add_logic("shifts", lanes * shifted * place)
    stage.add_adders(2 * lanes, shifted)
    stage.add_logic("saturated", lanes * current)


def _scaling(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    neurons, lanes = layer.neurons, folding.neuron_lanes
    assert neurons and widths.product
    product, current = widths.product.width, neurons.membrane.width
    _parameters(stage, neurons, folding, layer)
    stage.dsps += lanes * _multipliers(neurons.gain_e_bits, widths.bal.width)
    shifted = product - min(neurons.shift, product - 1)
    stage.add_registers("results", lanes * (product + 2 * current))
    stage.add_adders(2 * lanes, shifted)
    stage.add_logic("saturated", lanes * current)


def _replay(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    assert layer.neurons
    width = folding.neuron_lanes * layer.neurons.membrane.width
    stage.add_memory(width, folding.groups(layer))
    stage.add_logic("choices", width)


def _lif(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    neurons, lanes = layer.neurons, folding.neuron_lanes
    assert neurons
    width = neurons.membrane.width
    stage.add_memory(lanes * width, folding.groups(layer))
    stage.add_registers("potentials", lanes * (4 * width + 2))
    stage.add_adders(lanes * (3 if neurons.leak else 2), width + 1)
    stage.add_logic("choices", lanes * width)


def _encoder(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    lanes, index = folding.neuron_lanes, (layer.n_e - 1).bit_length()
    stage.add_registers("spikes", 3 * lanes)
    stage.add_registers("indices", 2 * index)
    stage.add_adders(2, index)
    stage.add_logic("lowest", lanes)


def _readout(stage: Stage, layer: Layer, widths: LayerWidths, folding: Folding) -> None:
    assert widths.logit
    lanes, logit = folding.neuron_lanes, widths.logit.width
    stage.add_registers("logits", folding.groups(layer) * lanes * logit)
    stage.add_registers("largest", lanes * logit)
    stage.add_adders(2 * lanes, logit)
    stage.add_logic("choices", lanes * logit)
    # The number of a class is its beat's times the lanes, and yosys takes a multiplier for that.
    stage.dsps += lanes.bit_count() > 1 and folding.groups(layer) > 2


def _layer_stages(network: IntegerNetwork, index: int) -> Iterator[str]:
    """The kinds of a layer's stages, in their order (``hw.layer``)."""
    layer = network.layers[index]
    yield "accumulator"
    yield "population" if layer.n_i else "serialiser"
    if layer.neurons is None:
        yield "readout"
        return
    if layer.neurons.floor and layer.n_i:
        yield "floor"
    elif layer.n_i and not is_global(layer):
        yield "stabiliser"
    yield "divisive" if layer.n_i else "scaling"
    if network.steps > network.layer_steps(index):
        yield "replay"
    yield from ("lif", "encoder")


_STAGES = {
    "accumulator": _accumulator,
    "population": _population,
    "serialiser": _serialiser,
    "stabiliser": _stabiliser,
    "floor": _floor,
    "divisive": _divisive,
    "scaling": _scaling,
    "replay": _replay,
    "lif": _lif,
    "encoder": _encoder,
    "readout": _readout,
}


def stages(network: IntegerNetwork, foldings: Sequence[Folding]) -> list[Stage]:
    """What is known of each stage of a design, and of the shell around it."""
    found, widths = [], network_widths(network)
    for i, (layer, folding) in enumerate(zip(network.layers, foldings, strict=True)):
        for kind in _layer_stages(network, i):
            stage = Stage(f"layer{i}.{'stabiliser' if kind == 'floor' else kind}", kind)
            _STAGES[kind](stage, layer, widths[i], folding)
            found.append(stage)
    logit = widths[-1].logit
    assert logit is not None
    shell = Stage("elsewhere", "shell")
    outputs = network.classes * logit.width + (network.classes - 1).bit_length() + 2
    events = foldings[0].events(network.layers[0])
    event = (ceil_div(network.input.features, events) - 1).bit_length() + network.input.bits
    shell.add_registers("ports", outputs + events * event + 1 + 3)
    shell.add_logic("ports", outputs)
    return [*found, shell]


def estimate(network: IntegerNetwork, foldings: Foldings) -> Area:
    """What a design with fixed weights takes of an ECP5, as ``chandelier synth`` would report it.

    A few milliseconds, and the proof of the widths (``quant.widths``), which may take a hundred.

    Raises
    ------
    ChandelierError
        If a folding does not fit the network, or the model does not know such designs: fully spatial ones, and
        networks with maps.
    """
    if foldings == "spatial":
        raise ChandelierError("the area of a fully spatial design is not estimated: 'chandelier synth' measures it")
    for i in range(len(network.layers)):
        if walk_of(network, i) is not None:
            raise ChandelierError(
                f"layer {i} of {network.name} has a map, whose area is not estimated: 'chandelier synth' measures it"
            )
    check_foldings(network, foldings)
    return total(stages(network, foldings), LUTS, FFS)


def total(known: Sequence[Stage], luts: Coefficients, ffs: Coefficients) -> Area:
    """What stages take in all, with these coefficients."""
    return Area(
        luts=round(sum(_weighted(luts.get(s.kind, {}), s.luts) + _SMALL_LUTS * s.smalls for s in known)),
        ffs=round(sum(_weighted(ffs.get(s.kind, {}), s.ffs) for s in known)),
        brams=sum(s.brams for s in known),
        dsps=sum(s.dsps for s in known),
    )


def _weighted(coefficients: Mapping[str, float], features: Mapping[str, float]) -> float:
    """Features that no design had when the coefficients were fitted count as they are."""
    return sum(coefficients.get(name, 1.0) * bits for name, bits in features.items())
