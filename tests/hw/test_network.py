"""Whole networks in Amaranth's simulator: every intermediate of every layer against the plain-Python reference."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.folding import Folding
from hw.network import Network
from quant.network import IntegerNetwork
from tests.hw.exchange import exchange
from tests.random_networks import random_codes, random_network
from tests.reference import reference

SAMPLES = 3


def random_foldings(network: IntegerNetwork, rng: np.random.Generator) -> list[Folding]:
    """Any lanes that are allowed."""

    def lanes(most: int) -> int:
        return int(rng.integers(1, most + 1))

    return [Folding(lanes(layer.n_e + layer.n_i), lanes(layer.n_i), lanes(layer.n_e)) for layer in network.layers]


def event_beats(network: IntegerNetwork, codes: np.ndarray) -> list[dict[str, int]]:
    """Beats of the input stream for samples of codes (samples, features) or (samples, steps, features)."""
    beats = []
    for step in codes.reshape(-1, network.input.features):
        beats += [{"index": int(j), "value": int(step[j]), "last": 0} for j in np.flatnonzero(step)]
        beats.append({"index": 0, "value": 0, "last": 1})
    return beats


def _signal(beats: list[Any], name: str, neurons: int) -> list[list[int]]:
    """The values of one signal, a list of neurons for each set, from the beats of its stream."""
    if isinstance(beats[0], dict):
        return [beat[name] for beat in beats]
    per_frame = -(-neurons // len(beats[0]))
    flat = [
        [neuron[name] for beat in beats[k : k + per_frame] for neuron in beat] for k in range(0, len(beats), per_frame)
    ]
    return [frame[:neurons] for frame in flat]


@settings(max_examples=25)
@given(seed=st.integers(0, 100_000), stall=st.sampled_from([0.0, 0.4]))
def test_every_signal(seed: int, stall: float) -> None:
    network = random_network(seed, largest=9)
    dut = Network(network, random_foldings(network, np.random.default_rng(seed)))
    codes = random_codes(network, SAMPLES, seed)
    probes = dut.probes()
    watch = {p.path: dut.engines[p.layer].stages[p.name].o for p in probes}
    result = exchange(dut, event_beats(network, codes), SAMPLES, seed=seed, stall=stall, watch=watch)
    expected = [reference(network, sample) for sample in codes]
    for probe in probes:
        for field in probe.fields:
            signal = probe.layer, field.signal
            got = _signal(result.watched[probe.path], probe.stage_field(field), field.neurons)
            want = [frame for sample in expected for frame in sample[signal]]
            assert got == want, f"seed {seed}, layer {probe.layer}, {field.signal} of {probe.path}"
    last = len(network.layers) - 1
    for sample, (want_all, got_all) in enumerate(zip(expected, result.outputs, strict=True)):
        assert got_all["logits"] == want_all[last, "logits"][0], f"seed {seed}, sample {sample}"
        assert got_all["class"] == want_all[last, "class"][0][0], f"seed {seed}, sample {sample}"
