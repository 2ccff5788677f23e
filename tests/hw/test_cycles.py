"""The cycle model against the simulated network."""

from dataclasses import replace

import numpy as np
import pytest

from hw.cycles import predict_cycles
from hw.folding import Folding, row_synapses
from hw.network import Network
from quant.errors import ChandelierError
from tests.hw.exchange import exchange
from tests.hw.test_network import input_beats, random_foldings
from tests.random_networks import random_codes, random_network
from tests.reference import reference

SAMPLES = 9


@pytest.mark.parametrize("seed", range(20, 50))
def test_interval_and_latency(seed: int) -> None:
    network = random_network(seed, largest=12)
    # Several events at once are taken to be spread evenly, which few samples are.
    foldings = [
        replace(f, synapse_lanes=min(f.synapse_lanes, row_synapses(layer)))
        for f, layer in zip(random_foldings(network, seed), network.layers, strict=True)
    ]
    codes = random_codes(network, 5, seed)[-1:]
    signals = reference(network, codes[0])
    spikes = [np.sum(signals[i, "spike"], axis=1) for i in range(len(network.layers) - 1)]
    events = [np.count_nonzero(codes.reshape(-1, network.input.features), axis=1), *spikes]
    prediction = predict_cycles(network, foldings, [float(np.mean(e)) for e in events])
    design = Network(network, foldings)
    beats = input_beats(design, np.repeat(codes, SAMPLES, axis=0))
    result = exchange(design, beats, SAMPLES, seed=seed, stall=0.0)
    # The first sample finds an idle network, and the first few fill the queues.
    latency = result.received[0] - result.sent[0]
    interval = (result.received[-1] - result.received[3]) / (SAMPLES - 4)
    assert prediction.latency == pytest.approx(latency, rel=0.1)
    *_, second, slowest = sorted(prediction.stages.values())
    even = all(len(set(e.tolist())) == 1 for e in events)
    if even and second <= 0.7 * slowest and prediction.slowest[1] != "encoder":
        assert prediction.interval == interval
    else:
        assert prediction.interval == pytest.approx(interval, rel=0.1, abs=3)


def test_what_does_not_fit_is_named() -> None:
    network = random_network(3)
    foldings = [Folding(1, 1, 1)] * len(network.layers)
    with pytest.raises(ChandelierError, match="layers need as many numbers of events, not 1"):
        predict_cycles(network, foldings, [1])
    d = network.layers[0].d
    with pytest.raises(ChandelierError, match=rf"events of the input must be 0\.\.{d}, not {d + 1}"):
        predict_cycles(network, foldings, [d + 1] + [0] * (len(network.layers) - 1))
