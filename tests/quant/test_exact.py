"""The steps of a layer on tensors against the same on Python integers, at the edges of the types that they run in."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from quant.arithmetic import Reset, after_reset, integrate, round_shift, saturate
from quant.exact import convolve, divide, lif_step, narrow, stabilise, state_dtype, sum_pool, windows_of
from quant.formats import Format
from quant.maps import Window
from quant.reciprocal import Reciprocal

MEMBRANE = Format(24, 8, signed=True)


def _wide(rng: np.random.Generator, bits: int, size: int) -> np.ndarray:
    """Integers of every width up to ``bits``, ones just below powers of two among them."""
    values = rng.integers(0, 1 << 62, size) >> rng.integers(62 - bits, 62, size)
    return np.where(rng.random(size) < 0.1, (1 << rng.integers(0, bits + 1, size)) - 1, values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("index_bits", "bits"), [(0, 2), (4, 8), (8, 12), (12, 24)])
@pytest.mark.parametrize("product_bits", [24, 51, 52, 62])
def test_division_is_that_of_integers(dtype: torch.dtype, index_bits: int, bits: int, product_bits: int) -> None:
    rng, r, size = np.random.default_rng(product_bits + bits), Reciprocal(index_bits, bits), 4000
    most = 24 if dtype == torch.float32 else 52
    bal_bits = max(1, min(most, product_bits - bits - 8))
    bal = _wide(rng, bal_bits, size) * rng.choice([-1, 1], size)
    d = _wide(rng, most, size) * (rng.random(size) < 0.95)
    g_e, b_e = rng.integers(0, 256, size), rng.integers(MEMBRANE.min, MEMBRANE.max + 1, size)
    for shift in (0, 7, 30, 40):
        tensors = (torch.from_numpy(bal).to(dtype)[None], torch.from_numpy(d).to(dtype)[None])
        arguments = (*tensors, torch.from_numpy(g_e), torch.from_numpy(b_e), shift, r, MEMBRANE)
        found = divide(*arguments)
        expected = [
            saturate(round_shift(g * x * r.entry(y), shift + r.exponent(y)) + b, MEMBRANE) if y else b
            for x, y, g, b in zip(*(v.tolist() for v in (bal, d, g_e, b_e)), strict=True)
        ]
        assert found[0].tolist() == expected
        if narrow(int(abs(bal).max()) * int(g_e.max()) << bits, shift, int(d.max()), MEMBRANE):
            assert torch.equal(divide(*arguments, proven=True), found)


def test_what_float64_divides_exactly_ends_where_a_sum_could_need_54_bits() -> None:
    membrane = Format(10, 6, signed=True)
    assert narrow((1 << 52) - 1, 20, (1 << 23) - 1, membrane)  # 10 + 20 + 22 = 52
    assert not narrow(1 << 52, 20, (1 << 23) - 1, membrane)
    assert not narrow(1, 21, (1 << 23) - 1, membrane)
    assert not narrow(1, 20, 1 << 23, membrane)
    assert narrow(1, 42, 1, membrane) and narrow(1, 42, 0, membrane) and not narrow(1, 43, 0, membrane)


@pytest.mark.parametrize(
    ("width", "factor", "dtype"),
    [
        (14, 1, torch.int16),
        (15, 1, torch.int32),
        (12, 15, torch.int16),
        (12, 16, torch.int32),
        (24, 255, torch.int32),
        (24, 256, torch.int64),
    ],
)
def test_potentials_have_the_narrowest_type(width: int, factor: int, dtype: torch.dtype) -> None:
    assert state_dtype(Format(width, signed=True), factor) == dtype


@pytest.mark.parametrize("width", [4, 10, 14, 15, 24])
@pytest.mark.parametrize("reset", ["subtract", "zero", "delayed"])
@pytest.mark.parametrize(("tau_shift", "factor"), [(1, 1), (3, 0), (4, 7), (12, 4095), (12, 4096)])
def test_neurons_do_not_overflow_their_type(width: int, reset: Reset, tau_shift: int, factor: int) -> None:
    membrane, rng = Format(width, 1, signed=True), np.random.default_rng(width)
    edges = [membrane.min, membrane.min + 1, -1, 0, 1, membrane.max - 1, membrane.max]
    v, current = (c.ravel() for c in np.meshgrid(edges, [*edges, *rng.integers(membrane.min, membrane.max, 20)]))
    dtype = state_dtype(membrane, factor)
    for theta in (1, membrane.max):
        tensors = (torch.from_numpy(v).to(dtype), torch.from_numpy(current).to(dtype))
        found = lif_step(*tensors, membrane, tau_shift, theta, factor, reset)
        for x, i, u, spike, after in zip(v.tolist(), current.tolist(), *(f.tolist() for f in found), strict=True):
            exact = integrate(x, i, theta, tau_shift, factor, reset)
            left = saturate(after_reset(exact, exact >= theta, theta, reset), membrane)
            assert (u, spike, after) == (exact, int(exact >= theta), left)
        assert all(f.dtype == dtype for f in found)


def test_a_spike_subtracts_the_threshold_unless_told_otherwise() -> None:
    v, current = torch.zeros(2, dtype=torch.int16), torch.tensor([20, 3], dtype=torch.int16)
    assert [found.tolist() for found in lif_step(v, current, Format(8, 4, signed=True), 1, 16)] == [
        [20, 3],
        [1, 0],
        [4, 3],
    ]


def test_nothing_is_stabilised_to_nothing() -> None:
    assert stabilise(torch.empty(0, 1, 1, 4)).shape == (0, 1, 1, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stabilisation_replaces_zeros_alone(dtype: torch.dtype) -> None:
    d = torch.tensor([[0, 7, 3, 1 << 23], [0, 0, 0, 0], [0, 0, 0, 5], [2, 9, 4, 2]], dtype=dtype)
    expected = [[3, 7, 3, 1 << 23], [0, 0, 0, 0], [5, 5, 5, 5], [2, 9, 4, 2]]
    assert stabilise(d[:, None, None]).flatten(1).tolist() == expected


WINDOWS = [
    Window((3, 3), (1, 1), (1, 1)),
    Window((5, 2), (2, 3), (0, 1)),
    Window((1, 5), (1, 2), (0, 2)),
    Window((1, 1), (2, 2)),
    Window((5, 5)),
]


def test_no_current_is_of_what_is_beside_a_map() -> None:
    """Widths of one output, of a map of one channel: oneDNN's convolution gave anything for about half of these."""
    generator = torch.Generator().manual_seed(1)
    for width, kernel, stride, left in ((2, 2, 3, 1), (3, 2, 3, 0), (3, 3, 4, 1), (4, 3, 4, 0), (8, 5, 4, 0)):
        window = Window((2, kernel), (1, stride), (0, left))
        x = torch.randint(0, 4, (20, 6, width, 1), generator=generator).float()
        w = torch.randint(0, 9, (8, 2 * kernel), generator=generator).float()
        maps, kernels = x.permute(0, 3, 1, 2).double(), w.view(8, 1, 2, kernel).double()
        expected = conv2d(maps, kernels, stride=window.stride, padding=window.padding).permute(0, 2, 3, 1)
        assert expected.shape[2] == 1 and torch.equal(convolve(x, w, window).double(), expected), window


@pytest.mark.parametrize("window", WINDOWS)
def test_a_product_of_matrices_is_the_convolution(window: Window) -> None:
    """What a GPU computes, with integers, in which both are exact."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 5, (2, 3, 8, 7, 4), generator=generator).double()
    w = torch.randint(0, 4, (6, window.inputs(4)), generator=generator).double()
    assert torch.equal(windows_of(x, window) @ w.T, convolve(x, w, window))


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"))],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_no_input_reaches_has_no_current(device: str, dtype: torch.dtype) -> None:
    """Not even one of rounding: it would be a denominator. The second layer of a LeNet, of half silent maps."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 64, 12, 12, 16, generator=generator)
    x[..., :6, :] = 0
    w = torch.rand(40, 400, generator=generator)
    currents = convolve(x.to(device, dtype), w.to(device, dtype), Window((5, 5)))
    assert currents[..., :2, :].eq(0).all() and currents[..., 2:, :].gt(0).all()


@pytest.mark.parametrize("pool", [(1, 1), (2, 2), (3, 2), (1, 5), (9, 7)])
def test_integers_are_pooled_like_floats(pool: tuple[int, int]) -> None:
    x = torch.randint(0, 50, (2, 3, 9, 7, 4), generator=torch.Generator().manual_seed(0))
    sums = sum_pool(x.short(), pool)
    assert sums.dtype == torch.int16 and torch.equal(sums.float(), sum_pool(x.float(), pool))
