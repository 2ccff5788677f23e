"""The estimate of cycles, and the exact model, against the simulated network."""

from dataclasses import replace

import numpy as np
import pytest

from hw.cycles import predict_cycles
from hw.exact_cycles import simulate_cycles
from hw.folding import Folding, row_synapses
from hw.network import Network
from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT, Wiring
from quant.network import IntegerNetwork
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
    inputs = codes.reshape(1, -1, network.input.features)
    arrays = [inputs != 0, *(np.array([signals[i, "spike"]]) != 0 for i in range(len(network.layers) - 1))]
    d = [signals.get((i, "d"), np.ones((network.layer_steps(i), n.n_e))) for i, n in enumerate(network.layers[:-1])]
    zeros = [np.array([own]) == 0 for own in d]
    arrays, zeros = ([np.repeat(own, SAMPLES, axis=0) for own in each] for each in (arrays, zeros))
    cycles = simulate_cycles(network, foldings, arrays, zeros)
    assert cycles.started.tolist() == result.sent[:: len(beats) // SAMPLES]
    assert cycles.finished.tolist() == result.received


def _no_zeros(network: IntegerNetwork, samples: int) -> list[np.ndarray]:
    """Of the denominators of a network without maps."""
    hidden = enumerate(network.layers[:-1])
    return [np.zeros((samples, network.layer_steps(i), layer.n_e), bool) for i, layer in hidden]


def test_what_does_not_fit_is_named() -> None:
    network = random_network(3)
    foldings = [Folding(1, 1, 1)] * len(network.layers)
    with pytest.raises(ChandelierError, match="layers need as many numbers of events, not 1"):
        predict_cycles(network, foldings, [1])
    d = network.layers[0].d
    with pytest.raises(ChandelierError, match=rf"events of the input must be 0\.\.{d}, not {d + 1}"):
        predict_cycles(network, foldings, [d + 1] + [0] * (len(network.layers) - 1))


def test_events_that_do_not_fit_are_named() -> None:
    network = random_network(3)
    foldings = [Folding(1, 1, 1)] * len(network.layers)
    events = [np.zeros((2, network.layer_steps(i), layer.d), bool) for i, layer in enumerate(network.layers)]
    zeros = _no_zeros(network, 2)
    assert len(simulate_cycles(network, foldings, events, zeros).finished) == 2
    with pytest.raises(ChandelierError, match=r"layers need as many arrays of events, not 1"):
        simulate_cycles(network, foldings, events[:1], zeros)
    with pytest.raises(ChandelierError, match=r"events of layer 0 must be \(2, \d+, \d+\), not \(1, \d+, \d+\)"):
        simulate_cycles(network, foldings, [events[0], events[1][:1], *events[2:]], zeros)
    with pytest.raises(ChandelierError, match=r"layers have one less with denominators, not 0"):
        simulate_cycles(network, foldings, events, [])
    with pytest.raises(ChandelierError, match=r"zeros of layer 0 must be \(2, \d+, \d+\), not \(1, \d+, \d+\)"):
        simulate_cycles(network, foldings, events, [zeros[0][:1], *zeros[1:]])


def test_a_layer_that_nobody_reads_is_refused() -> None:
    network = random_network(3)
    first, *rest = network.layers
    unread = replace(network, layers=(first, replace(first, wiring=Wiring((NETWORK_INPUT,))), *rest))
    with pytest.raises(ChandelierError, match=r"^layers\.0 of random3 is read by no other layer"):
        simulate_cycles(unread, [Folding(1, 1, 1)] * len(unread.layers), [], [])


def test_no_samples_take_no_cycles() -> None:
    network = random_network(3)
    events = [np.zeros((0, network.layer_steps(i), layer.d), bool) for i, layer in enumerate(network.layers)]
    cycles = simulate_cycles(network, [Folding(1, 1, 1)] * len(network.layers), events, _no_zeros(network, 0))
    assert len(cycles.started) == len(cycles.finished) == len(cycles.latencies) == len(cycles.intervals) == 0
