"""The layers in float64 against the equations of the model, written out independently in plain numpy."""

from typing import Any

import numpy as np
import pytest
import torch

from quant.errors import ChandelierError
from quant.maps import Shape, Window, Wiring
from quant.network import Input
from sw.layers import LIF, EILayer, EIProp, EISynapses, Readout
from sw.network import SpikingNetwork

Array = np.ndarray
TIGHT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(autouse=True)
def _double() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _numpy(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy().copy()


def _layer(d: int, n_e: int, prop: EIProp = EIProp()) -> EILayer:  # noqa: B008 - frozen
    """A fully connected layer."""
    return EILayer(EISynapses((1, 1, d), n_e, prop=prop))


class _Balances(EISynapses):
    """Synapses whose ``bal`` is the largest odd integer of float32, whatever the input."""

    def balance(self, x: torch.Tensor) -> tuple[torch.Tensor, float]:
        return torch.full((*x.shape[:-1], self.n_e), (1 << 24) - 1, dtype=torch.float32), 1.0


def test_integer_logits_are_exact_beyond_float32() -> None:
    logits, _ = Readout(_Balances((1, 1, 8), 3)).integer_logits(torch.zeros(5, 2, 1, 1, 8))
    assert (logits == 5 * ((1 << 24) - 1)).all()


def _maps(x: Array) -> torch.Tensor:
    """Vectors as maps of one pixel."""
    return torch.from_numpy(x)[..., None, None, :]


def _randomise(layer: EILayer, rng: np.random.Generator) -> None:
    """Weights with zero rows in ``w_ei``, so that some denominators are zero, and gains that all differ."""
    s = layer.synapses
    w_ei = rng.random((s.n_e, s.n_i)) * (rng.random((s.n_e, 1)) < 0.7)
    values = {s.w_ee: rng.random((s.n_e, s.d)), s.w_ie: rng.random((s.n_i, s.d)), s.w_ei: w_ei}
    values |= {layer.g_i: rng.random(s.n_i) + 0.1, layer.g_e: rng.random(s.n_e) * 3, layer.b_e: rng.normal(size=s.n_e)}
    with torch.no_grad():
        for parameter, value in values.items():
            parameter.copy_(torch.from_numpy(value))


def _denominators(i_sh: Array) -> Array:
    result = i_sh.copy()
    for row in result.reshape(-1, result.shape[-1]):
        if (row > 0).any():
            row[row == 0] = row[row > 0].min()
    return result


def _current(p: dict[str, Array], x: Array) -> dict[str, Array]:
    i_ee, i_ie = x @ p["w_ee"].T, x @ p["w_ie"].T
    bal = i_ee - i_ie @ p["w_ei"].T
    i_sh = (p["g_i"] * i_ie) @ p["w_ei"].T
    d = _denominators(i_sh)
    silent = d == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        current = np.where(silent, 0, p["g_e"] * bal / d) + p["b_e"]
    return {"i_ie": i_ie, "bal": bal, "d": np.where(silent, np.inf, d), "current": current}


def _parameters(layer: EILayer) -> dict[str, Array]:
    s = layer.synapses
    names = {"w_ee": s.w_ee, "w_ie": s.w_ie, "w_ei": s.w_ei, "g_i": layer.g_i, "g_e": layer.g_e, "b_e": layer.b_e}
    return {name: _numpy(tensor) for name, tensor in names.items()}


@pytest.mark.parametrize("seed", range(10))
def test_current(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = _layer(13, 9)
    _randomise(layer, rng)
    x = rng.random((5, 7, 13)) * (rng.random((5, 7, 1)) < 0.8)  # some inputs are silent
    got = _numpy(layer(_maps(x)))[..., 0, 0, :]
    np.testing.assert_allclose(got, _current(_parameters(layer), x)["current"], **TIGHT)


def test_lif() -> None:
    rng = np.random.default_rng(0)
    currents = rng.normal(0.6, 1.0, (30, 4, 6))
    spikes = _numpy(LIF(tau_shift=2)(torch.from_numpy(currents)))
    v = np.zeros((4, 6))
    for t in range(30):
        u = 0.75 * v + currents[t]
        s = (u >= 1).astype(float)
        v = u - s
        assert np.array_equal(spikes[t], s)


def test_readout_is_the_mean_of_the_balance() -> None:
    rng = np.random.default_rng(0)
    readout = Readout(EISynapses((1, 1, 8), 10))
    spikes = (rng.random((3, 5, 8)) < 0.4).astype(float)
    s = readout.synapses
    assert isinstance(s, EISynapses)
    expected = np.mean([x @ _numpy(s.w_ee).T - x @ _numpy(s.w_ie).T @ _numpy(s.w_ei).T for x in spikes], axis=0)
    np.testing.assert_allclose(_numpy(readout(_maps(spikes))), expected, **TIGHT)


def _ei_init(x: Array, n_e: int, n_i: int, generator: torch.Generator) -> dict[str, Array]:
    """E-I Init from the statistics of ``x``; only the exponential deviates come from torch, in order."""
    d = x.shape[-1]
    flat = x.reshape(-1, d)
    mean = flat.sum() / flat.size
    square = (flat**2).sum() / flat.size
    variance = np.mean([np.mean((column - column.mean()) ** 2) for column in flat.T])
    scale = np.sqrt(variance / (d * (square + variance)))
    draw = [torch.empty(n, d).exponential_(1.0, generator=generator).numpy() * scale for n in (n_e, n_i)]
    g_i = np.full(n_i, np.sqrt(square + variance) / (mean * np.sqrt(d)))
    parameters = {"w_ee": draw[0], "w_ie": draw[1], "w_ei": np.full((n_e, n_i), 1 / n_i), "g_i": g_i}
    return parameters | {"g_e": np.ones(n_e), "b_e": np.zeros(n_e)}


def _run_lif(current: Array) -> Array:
    v, spikes = np.zeros_like(current[0]), []
    for i in current:
        u = 0.5 * v + i
        spikes.append((u >= 1).astype(float))
        v = u - spikes[-1]
    return np.stack(spikes)


@pytest.mark.parametrize("kind", ["static", "sequence"])
def test_ei_init_of_a_whole_network(kind: str) -> None:
    rng = np.random.default_rng(1)
    steps = 3
    shape = (64, 20) if kind == "static" else (64, steps, 20)
    x = rng.integers(0, 16, shape) * (rng.random(shape) < 0.5) * 1.0
    network = SpikingNetwork(Input(20, 4, kind), [24, 16], 10, steps=steps)  # type: ignore[arg-type]
    network.initialise(torch.from_numpy(x), torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(7)
    signal = x[None] if kind == "static" else x.transpose(1, 0, 2)
    for layer, (n_e, n_i) in zip(network.hidden, [(24, 6), (16, 4)], strict=True):
        expected = _ei_init(signal, n_e, n_i, generator)
        for name, got in _parameters(layer).items():  # type: ignore[arg-type]
            np.testing.assert_allclose(got, expected[name], **TIGHT, err_msg=name)
        current = _current(expected, signal)["current"]
        signal = _run_lif(np.broadcast_to(current, (steps, *current.shape[1:])))
    expected = _ei_init(signal, 10, 2, generator)
    for name in ("w_ee", "w_ie", "w_ei"):
        np.testing.assert_allclose(_numpy(getattr(network.readout.synapses, name)), expected[name], **TIGHT)
    logits = (signal @ expected["w_ee"].T - signal @ expected["w_ie"].T @ expected["w_ei"].T).mean(0)
    np.testing.assert_allclose(_numpy(network(torch.from_numpy(x))), logits, **TIGHT)


def test_ei_init_balances_and_controls_the_gain() -> None:
    """What it is for: E[I_EE] = E[I_EI], and I_sh matches the spread of I_EE - I_EI."""
    layer = _layer(400, 400)
    x = torch.rand(2000, 1, 1, 400, generator=torch.Generator().manual_seed(0))
    layer.initialise(x, torch.Generator().manual_seed(0))
    i_ie, bal, w_ei, _ = layer.synapses(x)
    i_ei = i_ie @ w_ei.T
    assert abs(bal.mean()) < 0.02 * i_ei.mean()
    i_sh = (layer.g_i * i_ie) @ w_ei.T
    assert 0.7 < (bal.std() / i_sh.mean()).item() < 1.4


def test_ei_init_refuses_input_without_statistics() -> None:
    for x in (torch.zeros(8, 1, 1, 5), torch.ones(8, 1, 1, 5)):
        with pytest.raises(ChandelierError, match="E-I Init needs inputs that vary"):
            _layer(5, 4).initialise(x)


def _surrogate(x: Array) -> Array:
    s = 1 / (1 + np.exp(-4 * x))
    return 4 * s * (1 - s)


def _gradients(p: dict[str, Array], r: dict[str, Array], x: Array, weight: Array, steps: int) -> dict[str, Array]:
    """E-I Prop of ``(logits * weight).sum()``, written out step by step for one hidden layer and a readout."""
    d = x.shape[1]
    forward = _current(p, x)
    us, spikes, v = [], [], np.zeros_like(forward["current"])
    for _ in range(steps):
        us.append(0.5 * v + forward["current"])
        spikes.append((us[-1] >= 1).astype(float))
        v = us[-1] - spikes[-1]
    g = {f"r_{name}": np.zeros_like(value) for name, value in r.items()}
    d_current, d_v = np.zeros_like(v), np.zeros_like(v)
    for t in reversed(range(steps)):
        d_bal = weight / steps
        d_i_ie = -d_bal @ r["w_ei"]
        g["r_w_ee"] += d_bal.T @ spikes[t]
        g["r_w_ie"] += d_i_ie.T @ spikes[t]
        g["r_w_ei"] += -d_bal.T @ (spikes[t] @ r["w_ie"].T) / r["w_ee"].shape[1]
        d_spike = d_bal @ r["w_ee"] + d_i_ie @ r["w_ie"]
        d_u = d_spike * _surrogate(us[t] - 1) + d_v  # v = u - s, s detached
        d_current += d_u
        d_v = 0.5 * d_u
    ratio = p["g_e"] / forward["d"]
    g["g_e"] = (d_current * forward["bal"] / forward["d"]).sum(0)
    g["b_e"] = d_current.sum(0)
    d_bal = d_current * ratio
    d_i_sh = -d_current * ratio * forward["bal"] / forward["d"]  # straight through, replaced or not
    shunt = p["g_i"] * forward["i_ie"]
    d_shunt = d_i_sh @ p["w_ei"]
    d_i_ie = d_shunt * p["g_i"] - d_bal @ p["w_ei"]
    g["g_i"] = (d_shunt * forward["i_ie"]).sum(0)
    g["w_ei"] = (d_i_sh.T @ shunt - d_bal.T @ forward["i_ie"]) / d
    g["w_ee"], g["w_ie"] = d_bal.T @ x, d_i_ie.T @ x
    return g


@pytest.mark.parametrize("seed", range(5))
def test_gradients_are_those_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = SpikingNetwork(Input(11, 4), [12], 10, steps=3)
    layer = network.hidden[0]
    assert isinstance(layer, EILayer)
    _randomise(layer, rng)
    x = rng.random((6, 11)) * 10
    x[0] = 0  # a silent sample: its current is the bias alone
    weight = rng.normal(size=(6, 10))
    (network(torch.from_numpy(x)) * torch.from_numpy(weight)).sum().backward()
    s = network.readout.synapses
    readout = {name: _numpy(getattr(s, name)) for name in ("w_ee", "w_ie", "w_ei")}
    expected = _gradients(_parameters(layer), readout, x, weight, 3)
    got = {name: getattr(layer.synapses, name).grad for name in ("w_ee", "w_ie", "w_ei")}
    got |= {name: getattr(layer, name).grad for name in ("g_i", "g_e", "b_e")}
    got |= {f"r_{name}": getattr(s, name).grad for name in readout}
    for name, gradient in got.items():
        np.testing.assert_allclose(gradient.numpy(), expected[name], **TIGHT, err_msg=f"seed {seed}, {name}")


def test_each_part_of_ei_prop_can_be_switched_off() -> None:
    rng = np.random.default_rng(0)
    x, gradients = _maps(rng.random((6, 13))), {}
    changes: list[dict[str, Any]] = [
        {"straight_through": False},
        {"gradient_scaling": False},
        {"stabilisation": "none"},
    ]
    for change in ({}, *changes):
        layer = _layer(13, 9, EIProp(**change))
        _randomise(layer, np.random.default_rng(3))
        layer(x).square().sum().backward()
        gradients[next(iter(change), "")] = _numpy(layer.synapses.w_ei.grad)  # type: ignore[arg-type]
    assert np.allclose(gradients["gradient_scaling"], gradients[""] * 13)
    assert not np.allclose(gradients["straight_through"], gradients[""])
    assert np.abs(gradients["stabilisation"]).max() > 1e6  # division by epsilon: what the part prevents


def test_a_floor_keeps_denominators_above_a_tenth_of_their_mean() -> None:
    rng = np.random.default_rng(0)
    layer = _layer(13, 9, EIProp(stabilisation="floor"))
    x = rng.random((6, 13))
    layer.initialise(_maps(x), torch.Generator().manual_seed(0))
    p = _parameters(layer)
    i_sh = (p["g_i"] * (x @ p["w_ie"].T)) @ p["w_ei"].T
    np.testing.assert_allclose(float(layer.floor), 0.1 * i_sh.mean(), **TIGHT)
    _randomise(layer, rng)
    layer.floor.fill_(2.0)
    p = _parameters(layer)
    i_ie = x @ p["w_ie"].T
    d = np.maximum((p["g_i"] * i_ie) @ p["w_ei"].T, 2.0)
    assert (d == 2).any() and (d > 2).any()
    expected = p["g_e"] * (x @ p["w_ee"].T - i_ie @ p["w_ei"].T) / d + p["b_e"]
    np.testing.assert_allclose(_numpy(layer(_maps(x)))[:, 0, 0], expected, **TIGHT)


def _patches(x: Array, window: Window) -> Array:
    """(..., h', w', d): what each neuron of a convolution sees of maps (..., h, w, c), pixel by pixel."""
    (kh, kw), (sh, sw), (ph, pw) = window.kernel, window.stride, window.padding
    padded = np.pad(x, [(0, 0)] * (x.ndim - 3) + [(ph, ph), (pw, pw), (0, 0)])
    height, width = window.output(x.shape[-3:])
    result = np.zeros((*x.shape[:-3], height, width, kh * kw * x.shape[-1]))
    for row in range(height):
        for column in range(width):
            seen = padded[..., row * sh : row * sh + kh, column * sw : column * sw + kw, :]
            result[..., row, column, :] = seen.reshape(*x.shape[:-3], -1)
    return result


WINDOWS = [
    ((6, 7, 2), Window((3, 3), (1, 1), (1, 1))),
    ((6, 7, 2), Window((5, 2), (2, 3), (0, 1))),
    ((1, 20, 3), Window((1, 5), (1, 2), (0, 2))),
    ((4, 4, 5), Window((1, 1), (2, 2))),
]


@pytest.mark.parametrize(("shape", "window"), WINDOWS)
def test_convolution_has_the_current_of_every_pixel(shape: Shape, window: Window) -> None:
    """The same equations with the patch as the input; stabilised over the whole map, as the paper does."""
    rng = np.random.default_rng(0)
    layer = EILayer(EISynapses(shape, 9, Wiring(window=window)))
    _randomise(layer, rng)
    x = (rng.random((3, 4, *shape)) < 0.3) * rng.integers(1, 5, (3, 4, *shape)) * 1.0
    x[0, 0] = 0  # a silent sample
    x[0, 1, 1:] = 0
    p = _parameters(layer)
    patches = _patches(x, window)
    i_ie = patches @ p["w_ie"].T
    i_sh = (p["g_i"] * i_ie) @ p["w_ei"].T
    d = _denominators(i_sh.reshape(3, 4, -1)).reshape(i_sh.shape)
    bal = patches @ p["w_ee"].T - i_ie @ p["w_ei"].T
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(d == 0, 0, p["g_e"] * bal / d) + p["b_e"]
    np.testing.assert_allclose(_numpy(layer(torch.from_numpy(x))), expected, **TIGHT)


def _forward(network: SpikingNetwork, x: Array) -> Array:
    """Logits of a static input (samples, h, w, c) from the network's parameters, in plain numpy."""
    outputs: list[Array] = []
    for layer, stage in zip(network.layers(), network.stages, strict=True):
        maps = [np.broadcast_to(x, (network.steps, *x.shape)) if j < 0 else outputs[j] for j in stage.wiring.sources]
        signal = np.sum(maps, axis=0)
        (ph, pw), (h, w, c) = stage.wiring.pool, signal.shape[2:]
        signal = signal[:, :, : h // ph * ph, : w // pw * pw].reshape(*signal.shape[:2], h // ph, ph, w // pw, pw, c)
        signal = signal.mean((3, 5))  # the model has means of spikes
        window = stage.wiring.window
        flat = signal.reshape(*signal.shape[:2], 1, 1, -1) if window is None else _patches(signal, window)
        if isinstance(layer, Readout):
            s = layer.synapses
            assert isinstance(s, EISynapses)
            inhibition = flat @ _numpy(s.w_ie).T @ _numpy(s.w_ei).T
            return (flat @ _numpy(s.w_ee).T - inhibition)[:, :, 0, 0].mean(0)
        assert isinstance(layer, EILayer)
        p = _parameters(layer)
        i_ie = flat @ p["w_ie"].T
        i_sh = (p["g_i"] * i_ie) @ p["w_ei"].T
        d = _denominators(i_sh.reshape(*i_sh.shape[:2], -1)).reshape(i_sh.shape)
        bal = flat @ p["w_ee"].T - i_ie @ p["w_ei"].T
        outputs.append(_run_lif(np.where(d == 0, 0, p["g_e"] * bal / np.where(d == 0, 1, d)) + p["b_e"]))
    raise AssertionError("the last layer is the readout")


@pytest.mark.parametrize(
    "hidden",
    [
        ["6C3", "P2", "8C3s2p0", 12],
        ["5C5", "P2x3", "PG"],
        ["8C3", "8R", "12Rs2", "12R", "PG"],
        ["vgg8"],
    ],
)
def test_convolution_pooling_and_residuals_are_the_papers(hidden: list[int | str]) -> None:
    rng = np.random.default_rng(2)
    size = 32 if hidden == ["vgg8"] else 9
    x = rng.random((4, size, size, 2)) * (rng.random((4, size, size, 1)) < 0.5)
    spec = Input(size * size * 2, 8, shape=(size, size, 2))
    network = SpikingNetwork(spec, hidden, 10, steps=2)
    inputs = torch.from_numpy(x.reshape(4, -1))
    network.initialise(inputs, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(_numpy(network.eval()(inputs)), _forward(network, x), **TIGHT)
    rates = [float(spikes.detach().mean()) for spikes in list(network.spike_trains(inputs))[1:]]
    assert min(rates) > 0.001, rates
