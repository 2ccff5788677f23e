"""Whole networks in Amaranth's simulator: every intermediate of every layer against the plain-Python reference."""

import random
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
from amaranth import ResetInserter, Signal
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.folding import Folding, most_events, row_synapses, sent_at_once
from hw.instance import RESET_CYCLES
from hw.manifest import PayloadField, payload_fields
from hw.network import Network
from hw.order import walk_of
from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT, Wiring
from quant.network import IntegerNetwork
from tests.hw.exchange import event_beats, exchange, plain
from tests.random_networks import random_codes, random_map_network, random_network, random_row_network
from tests.reference import reference

SAMPLES = 3


def random_foldings(network: IntegerNetwork, seed: int) -> list[Folding]:
    """Any lanes that are allowed."""
    rng = np.random.default_rng(seed)

    def lanes(most: int) -> int:
        return int(rng.integers(1, most + 1))

    def choices(index: int, at_once: int) -> list[int]:
        """Neuron lanes for so many spikes at once."""
        layer = network.layers[index]
        every = range(at_once, layer.n_e + 1, at_once)
        return [k for k in every if layer.wiring.window is None or layer.n_e % k == 0]

    def synapse_lanes(index: int) -> int:
        row, walk, most = row_synapses(network.layers[index]), walk_of(network, index), most_events(network, index)
        source = network.layers[index].wiring.sources_of(index)[0]
        several = [k for k in range(2, most + 1) if (walk.lanes % k == 0 if walk else source < 0 or choices(source, k))]
        return row * int(rng.choice(several)) if several and rng.random() < 0.5 else lanes(row)

    foldings = [Folding(synapse_lanes(i), lanes(max(1, layer.n_i)), 1) for i, layer in enumerate(network.layers)]
    at_once = [sent_at_once(network, foldings, i) for i in range(len(foldings))]
    return [replace(f, neuron_lanes=int(rng.choice(choices(i, at_once[i])))) for i, f in enumerate(foldings)]


def input_beats(design: Network, codes: np.ndarray) -> list[dict[str, Any]]:
    """Beats of the input stream for samples of codes (samples, features) or (samples, steps, features)."""
    lanes = next(field.lanes for field in payload_fields(design.i.p.shape()) if field.signal == "index")
    return [beat for x in codes.reshape(-1, design.network.input.features) for beat in event_beats(x, lanes)]


def decode(beats: list[int], field: PayloadField) -> list[list[int]]:
    """The values of a field, a list of all its elements for each set of beats."""
    elements = [
        (beat >> field.offset + lane * field.stride) % (1 << field.width)
        for beat in beats
        for lane in range(field.lanes)
    ]
    if field.signed:
        elements = [e - (e >> field.width - 1 << field.width) for e in elements]
    per_set = field.beats * field.lanes
    return [elements[k : k + field.neurons] for k in range(0, len(elements), per_set)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000), stall=st.sampled_from([0.0, 0.4]))
def test_every_signal(seed: int, stall: float) -> None:
    _check_every_signal(random_network(seed, largest=9), seed, stall)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 100_000), stall=st.sampled_from([0.0, 0.4]))
def test_every_signal_of_maps(seed: int, stall: float) -> None:
    _check_every_signal(random_map_network(seed), seed, stall)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 100_000), stall=st.sampled_from([0.0, 0.4]))
def test_every_signal_in_row_major_order(seed: int, stall: float) -> None:
    _check_every_signal(random_row_network(seed), seed, stall)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 100_000), kind=st.sampled_from(["dense", "maps", "rows"]))
@example(seed=1, kind="maps")
@example(seed=11, kind="dense")
@example(seed=23, kind="rows")
def test_a_reset_leaves_nothing_behind(seed: int, kind: str) -> None:
    """Of so many cycles, at any time: the next sample is computed as if nothing had been before."""
    makers = {"maps": random_map_network, "rows": random_row_network}
    network = makers[kind](seed) if kind in makers else random_network(seed, largest=9)
    dut, reset, rng = Network(network, random_foldings(network, seed)), Signal(), random.Random(seed)
    codes, layout = random_codes(network, SAMPLES, seed), dut.i.p.shape()
    beats = [[layout.const(beat).as_bits() for beat in input_beats(dut, sample[None])] for sample in codes]
    expected = [reference(network, sample)[len(network.layers) - 1, "logits"][0] for sample in codes]

    async def send(ctx: Any, waiting: list[int], cycles: int, *, awaited: bool) -> Any:
        """Sends beats for so many cycles, or until a result comes, which is returned."""
        for _ in range(cycles):
            ctx.set(dut.i.valid, bool(waiting))
            ctx.set(dut.i.p.as_value(), waiting[0] if waiting else 0)
            *_, ready, valid, result = await ctx.tick().sample(dut.i.ready, dut.o.valid, dut.o.p)
            del waiting[: ready and 1]
            if valid and awaited:
                return plain(result)["logits"]
        return None

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        for number in range(6):
            before = [beat for _ in range(2) for beat in beats[rng.randrange(SAMPLES)]]
            await send(ctx, before, rng.randrange(3 * len(before) + 40), awaited=False)
            ctx.set(dut.i.valid, 0)
            ctx.set(reset, 1)
            await ctx.tick().repeat(RESET_CYCLES)
            ctx.set(reset, 0)
            k = rng.randrange(SAMPLES)
            got = await send(ctx, list(beats[k]), 50_000, awaited=True)
            assert got == expected[k], f"seed {seed}, reset {number}"

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_a_layer_that_nobody_reads_is_refused() -> None:
    network = random_network(0, largest=4)
    first, *rest = network.layers
    unread = replace(network, layers=(first, replace(first, wiring=Wiring((NETWORK_INPUT,))), *rest))
    with pytest.raises(ChandelierError, match=r"^layers\.0 of random0 is read by no other layer"):
        Network(unread)


@pytest.mark.parametrize("seed", [0, 50])
def test_the_order_of_sources_plays_no_part(seed: int) -> None:
    """A design that let in first what needs the source behind it would stand still."""
    network = random_map_network(seed)
    layers = [replace(n, wiring=replace(n.wiring, sources=n.wiring.sources[::-1])) for n in network.layers]
    assert [n.wiring for n in layers] != [n.wiring for n in network.layers]
    codes, foldings = random_codes(network, SAMPLES, seed), random_foldings(network, seed)
    duts = [Network(n, foldings) for n in (network, replace(network, layers=tuple(layers)))]
    given, turned = (exchange(dut, input_beats(dut, codes), SAMPLES, seed=seed, stall=0.0) for dut in duts)
    assert given.outputs == turned.outputs and given.received == turned.received


def _in_rows(frames: list[list[int]], rows: int) -> list[list[int]]:
    """The values of a sample's time steps, all those of the first of so many rows before those of the second."""
    row = len(frames[0]) // rows
    return [frame[k * row : (k + 1) * row] for k in range(rows) for frame in frames]


def _check_every_signal(network: IntegerNetwork, seed: int, stall: float) -> None:
    """Simulates samples, and compares all that passes the probes."""
    dut = Network(network, random_foldings(network, seed))
    codes = random_codes(network, SAMPLES, seed)
    probes = list(dut.probes())
    watch = {p.path: dut.engines[p.layer].stages[p.name].o for p in probes}
    result = exchange(dut, input_beats(dut, codes), SAMPLES, seed=seed, stall=stall, watch=watch)
    expected = [reference(network, sample) for sample in codes]
    for probe in probes:
        for field in probe.fields:
            rows = dut.engines[probe.layer].rows if probe.per == "step" else 1
            got = decode(result.watched[probe.path], field)
            want = [frame for sample in expected for frame in _in_rows(sample[probe.layer, field.signal], rows)]
            where = f"seed {seed}, layer {probe.layer}, {field.signal} of {probe.path}"
            assert list(chain.from_iterable(got)) == list(chain.from_iterable(want)), where
    last = len(network.layers) - 1
    for number, (sample, output) in enumerate(zip(expected, result.outputs, strict=True)):
        assert output["logits"] == sample[last, "logits"][0], f"seed {seed}, sample {number}"
        assert output["class"] == sample[last, "class"][0][0], f"seed {seed}, sample {number}"
