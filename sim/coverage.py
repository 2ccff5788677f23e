"""Functional coverage: what can happen to a design, as named bins, and how often the samples of a run made it happen.

Bins of values are counted from the golden model's signals, which a co-simulation without a difference has seen in the
design; bins of streams from what its taps saw.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from hw.global_inhibition import is_global
from hw.manifest import Manifest
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork, Layer, Neurons
from sim.compare import Signals
from sim.report import CosimReport

__all__ = ["BINS", "stream_bins", "value_bins"]

#: Streams between stages of which any may pause, by the stage that offers.
_WAITING = ("accumulator", "population", "serialiser", "stabiliser", "divisive", "scaling", "lif", "o")
_RESETS = ("subtract", "zero", "delayed")

#: All bins, by what they are of.
BINS: Mapping[str, tuple[str, ...]] = {
    "input": ("silent sample", "silent step, others are not", "single event", "all inputs", "largest code"),
    "layer's input": ("silent step", "single event", "all inputs"),
    "zero denominators": ("none", "one", "some", "all", "all but one"),
    "denominators below the floor": ("none", "some", "all"),
    "shared denominator": ("zero", "not zero"),
    "denominator": ("1", "power of two", "fewer bits than the index", "first entry", "last entry"),
    "rounding": ("down", "up", "half of a positive", "half of a negative"),
    "current": ("saturated low", "saturated high", "free", "bias alone", "zero"),
    "potential": ("saturated low", "saturated high", "threshold reached exactly", "one below the threshold"),
    "leak": ("of 1", "of -1", "of a negative", "none", "all of it"),
    "spikes of a step": ("none", "one", "some", "all"),
    "reset of a spike": _RESETS,
    "class": ("first", "last", "tie of the largest", "all logits negative", "all logits equal"),
    "beats that waited": _WAITING,
    "beats that did not wait": _WAITING,
    "last group of lanes": ("full", "partly used", "a single lane", "all lanes in one"),
    "input kind": ("events", "several events at once", "whole vectors", "static", "sequence"),
    "wiring": ("fork", "sum of layers", "pooling", "pooling that drops an edge", "window", "padding", "stride"),
}


def _counted(group: str, hits: Mapping[str, object]) -> Counter[tuple[str, str]]:
    """How often each bin of the group was hit: the elements that are true."""
    return Counter({(group, name): int(np.count_nonzero(np.asarray(hit))) for name, hit in hits.items()})


def value_bins(network: IntegerNetwork, codes: np.ndarray, signals: Signals) -> Counter[tuple[str, str]]:
    """The bins that samples hit.

    Parameters
    ----------
    codes : (samples, features) or (samples, steps, features) uint8
    signals : Signals
        All of ``quant.golden.SIGNALS`` of these samples.

    Returns
    -------
    Counter
        (what of, bin) -> how often: samples, time steps or neurons, as the bin's name says.
    """
    steps = codes[:, None] if network.input.kind == "static" else codes
    events, features = np.count_nonzero(steps, -1), network.input.features
    silent = (events == 0).all(1)
    counts = _counted(
        "input",
        {
            "silent sample": silent,
            "silent step, others are not": (events == 0) & ~silent[:, None],
            "single event": events == 1,
            "all inputs": events == features,
            "largest code": codes == network.input.format.max,
        },
    )
    for i, layer in enumerate(network.layers):
        own = {name: values for (j, name), values in signals.items() if j == i}
        for source in layer.wiring.sources_of(i):
            if source != NETWORK_INPUT:
                counts += _inputs(signals[source, "spike"])
        counts += _neurons(layer, layer.neurons, own) if layer.neurons else _classes(own)
    return counts + _structure(network)


def _inputs(spikes: np.ndarray) -> Counter[tuple[str, str]]:
    events = spikes.sum(-1)
    hits = {"silent step": events == 0, "single event": events == 1, "all inputs": events == spikes.shape[-1]}
    return _counted("layer's input", hits)


def _neurons(layer: Layer, neurons: Neurons, own: Mapping[str, np.ndarray]) -> Counter[tuple[str, str]]:
    counts = _currents(layer, neurons, own)
    fmt, theta, u = neurons.membrane, neurons.theta, own["u"]
    before = np.concatenate([np.zeros_like(own["v"][:, :1]), own["v"][:, :-1]], 1)
    spikes, n = own["spike"].sum(-1), own["spike"].shape[-1]
    potential = {
        "saturated low": own["v"] == fmt.min,
        "saturated high": own["v"] == fmt.max,
        "threshold reached exactly": u == theta,
        "one below the threshold": u == theta - 1,
    }
    leaks = {
        "of 1": before == 1,
        "of -1": before == -1,
        "of a negative": before < 0,
        "none": (neurons.leak == 0) & (before != 0),
        "all of it": (neurons.leak == 1 << neurons.tau_shift) & (before != 0),
    }
    fired = {
        "none": spikes == 0,
        "one": spikes == 1,
        "some": (spikes > 0) & (spikes < n),
        "all": spikes == n,
    }
    counts += _counted("potential", potential) + _counted("leak", leaks) + _counted("spikes of a step", fired)
    return counts + _counted("reset of a spike", {neurons.reset: spikes})


def _currents(layer: Layer, neurons: Neurons, own: Mapping[str, np.ndarray]) -> Counter[tuple[str, str]]:
    current, fmt, table = own["current"], neurons.membrane, neurons.reciprocal
    repeated = current.shape[-1] // layer.n_e  # pixels
    g_e, b_e = (np.tile(codes.astype(object), repeated) for codes in (neurons.g_e, neurons.b_e))
    product, shift = g_e * own["bal"].astype(object), np.full(current.shape, neurons.shift)
    alone, counts = np.zeros(current.shape, bool), Counter[tuple[str, str]]()
    if table is not None:
        d, divisor = own["d"], own["divisor"]
        product, shift, alone = product * own["r"].astype(object), shift + own["e"], divisor == 0
        counts += _denominators(layer, neurons, d) + _divisors(table.index_bits, divisor)
    rest = product & ((1 << shift.astype(object)) - 1)
    half = 1 << np.maximum(shift, 1).astype(object) - 1
    rounding = {
        "down": (rest > 0) & (rest < half),
        "up": rest > half,
        "half of a positive": (rest == half) & (product > 0),
        "half of a negative": (rest == half) & (product < 0),
    }
    free = (current > fmt.min) & (current < fmt.max)
    values = {
        "saturated low": current == fmt.min,
        "saturated high": current == fmt.max,
        "free": free,
        "bias alone": alone & (np.broadcast_to(b_e, current.shape) != 0),
        "zero": current == 0,
    }
    return counts + _counted("rounding", rounding) + _counted("current", values)


def _denominators(layer: Layer, neurons: Neurons, d: np.ndarray) -> Counter[tuple[str, str]]:
    """Of each frame, how many denominators are replaced."""
    n = d.shape[-1]
    small = np.count_nonzero(d < max(1, neurons.floor), -1)
    if neurons.floor:
        hits = {"none": small == 0, "some": (small > 0) & (small < n), "all": small == n}
        return _counted("denominators below the floor", hits)
    if is_global(layer):
        return _counted("shared denominator", {"zero": small == n, "not zero": small == 0})
    hits = {
        "none": small == 0,
        "one": (small == 1) & (n > 2),
        "some": (small > 0) & (small < n),
        "all": small == n,
        "all but one": (small == n - 1) & (n > 2),
    }
    return _counted("zero denominators", hits)


def _divisors(index_bits: int, divisor: np.ndarray) -> Counter[tuple[str, str]]:
    there = divisor[divisor > 0]
    exponent = np.array([int(value).bit_length() - 1 for value in there], np.int64)
    index = (there << index_bits >> exponent) - (1 << index_bits)
    hits = {
        "1": there == 1,
        "power of two": there & (there - 1) == 0,
        "fewer bits than the index": exponent < index_bits,
        "first entry": (index == 0) & (index_bits > 0),
        "last entry": (index == (1 << index_bits) - 1) & (index_bits > 0),
    }
    return _counted("denominator", hits)


def _classes(own: Mapping[str, np.ndarray]) -> Counter[tuple[str, str]]:
    logits, n = own["logits"][:, 0], own["logits"].shape[-1]
    ties = np.count_nonzero(logits == logits.max(-1, keepdims=True), -1)
    hits = {
        "first": (own["class"] == 0) & (n > 1),
        "last": (own["class"] == n - 1) & (n > 1),
        "tie of the largest": (ties > 1) & (ties < n),
        "all logits negative": (logits < 0).all(-1),
        "all logits equal": (ties == n) & (n > 1),
    }
    return _counted("class", hits)


def _structure(network: IntegerNetwork) -> Counter[tuple[str, str]]:
    """How the layers are wired, whatever the samples."""
    wirings = [layer.wiring for layer in network.layers]
    read = [source for i, wiring in enumerate(wirings) for source in wiring.sources_of(i)]
    windows = [wiring.window for wiring in wirings if wiring.window]
    maps = [
        network.input.map if wiring.sources_of(i)[0] == NETWORK_INPUT else network.maps[wiring.sources_of(i)[0]][1]
        for i, wiring in enumerate(wirings)
    ]
    pools = [(shape, wiring.pool) for shape, wiring in zip(maps, wirings, strict=True) if wiring.pool != (1, 1)]
    hits = {
        "fork": len(read) > len(set(read)),
        "sum of layers": any(len(wiring.sources_of(i)) > 1 for i, wiring in enumerate(wirings)),
        "pooling": len(pools) > 0,
        "pooling that drops an edge": any(shape[0] % pool[0] or shape[1] % pool[1] for shape, pool in pools),
        "window": len(windows) > 0,
        "padding": any(window.padding != (0, 0) for window in windows),
        "stride": any(window.stride != (1, 1) for window in windows),
    }
    return _counted("wiring", hits)


def stream_bins(manifest: Manifest, report: CosimReport) -> Counter[tuple[str, str]]:
    """The bins that streams hit, of a co-simulation's report: beats that waited, and lanes of the last group."""
    counts: Counter[tuple[str, str]] = Counter()
    beats = {
        f"{p.path}.{p.stream}": p.beats * (manifest.input.steps if p.per == "step" else 1) for p in manifest.probes
    }
    for stream, waited in report.waited.items():
        stage = stream.split(".")[1] if "." in stream else stream
        if stage in _WAITING:
            counts["beats that waited", stage] += waited
            counts["beats that did not wait", stage] += max(0, report.samples * beats.get(stream, 1) - waited)
    for probe in manifest.probes:
        field = probe.fields[0]
        rest, one = field.neurons % field.lanes, field.lanes == 1
        hits = {
            "full": rest == 0 and not one and probe.beats > 1,
            "partly used": rest > 0,
            "a single lane": one and field.neurons > 1,
            "all lanes in one": probe.beats == 1 and field.neurons > 1,
        }
        counts += _counted("last group of lanes", hits)
    port = manifest.input
    kinds = {
        "events": not port.dense,
        "several events at once": not port.dense and port.fields[0].lanes > 1,
        "whole vectors": port.dense,
        "static": port.kind == "static",
        "sequence": port.kind == "sequence",
    }
    return counts + _counted("input kind", kinds)
