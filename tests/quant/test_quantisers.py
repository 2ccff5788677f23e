"""From weights to codes: rounding, steps, saturation and gradients, against numbers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from quant.errors import ChandelierError
from quant.formats import Format
from quant.quantisers import LayerQuantiser, Scheme, straight_through
from quant.reciprocal import Reciprocal

SCHEME = Scheme(synapse_bits=2, inhibition_bits=3, gain_i_bits=2, gain_e_bits=4, membrane=Format(8, 4, signed=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"synapse_bits": 0}, "synapse_bits must be 1..8, not 0"),
        ({"synapse_bits": 9}, "synapse_bits must be 1..8, not 9"),
        ({"inhibition_bits": 9}, "inhibition_bits must be 1..8, not 9"),
        ({"gain_i_bits": 9}, "gain_i_bits must be 1..8, not 9"),
        ({"gain_e_bits": 17}, "gain_e_bits must be 1..16, not 17"),
        ({"membrane": Format(8, 4)}, "membrane must be a signed format of 4..24 bits, not u8.4"),
        ({"membrane": Format(3, 0, signed=True)}, "membrane must be a signed format of 4..24 bits, not s3.0"),
        ({"membrane": Format(25, 0, signed=True)}, "membrane must be a signed format of 4..24 bits, not s25.0"),
        ({"membrane": Format(8, 7, signed=True)}, "membrane s8.7 cannot hold the threshold 1.0: use fewer fractional"),
    ],
)
def test_schemes_out_of_range_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ChandelierError, match=rf"^{message}"):
        replace(SCHEME, **change)


def test_the_limits_of_a_scheme_are_taken() -> None:
    for bits, wide in ((1, 1), (8, 16)):
        assert replace(SCHEME, synapse_bits=bits, inhibition_bits=bits, gain_i_bits=bits, gain_e_bits=wide)
    for membrane in (Format(4, 2, signed=True), Format(24, 22, signed=True)):
        assert replace(SCHEME, membrane=membrane)


def test_synapses_have_the_calibrated_step() -> None:
    w_ee, w_ie = torch.tensor([[0.0, 1.0], [2.0, 9.0]], requires_grad=True), torch.tensor([[3.0, 3.0]])
    codes, inhibitory, step, i_max = LayerQuantiser(SCHEME).synapses(w_ee, w_ie, x_max=7)
    assert step.item() == pytest.approx(5 * 3 / 3)  # five times the mean over the largest code
    assert codes.tolist() == [[0, 0], [0, 2]] and inhibitory.tolist() == [[1, 1]]
    assert i_max == 2 * 7 * 3 and codes.dtype == torch.float32
    codes.sum().backward()
    assert w_ee.grad is not None and w_ee.grad.tolist() == pytest.approx(np.full((2, 2), 0.2))


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_synapses_that_train_with_their_bits_have_the_same_spread_with_any_number_of_them(bits: int) -> None:
    w = torch.tensor([[1.0, 3.0]])
    step = LayerQuantiser(replace(SCHEME, synapse_bits=bits)).synapses(w, w, x_max=1)[2]
    assert step.item() == pytest.approx(5 * 2 / (2**bits - 1))


def test_only_a_learned_step_is_a_parameter() -> None:
    assert LayerQuantiser(SCHEME).log_step is None
    assert LayerQuantiser(replace(SCHEME, step="learned")).log_step is not None


def test_finite_weights_whose_sum_is_not_are_taken() -> None:
    w_ei = torch.tensor([[3e38, 3e38]])
    assert LayerQuantiser(SCHEME).inhibition(w_ei, i_max=1)[0].tolist() == [[7, 7]]


def test_no_code_of_a_synapse_is_negative() -> None:
    codes = LayerQuantiser(SCHEME).synapses(torch.tensor([[-9.0, 20.0]]), torch.ones(1, 2), x_max=1)[0]
    assert codes.tolist() == [[0, 3]]


def test_what_passes_straight_through_gets_the_type_of_its_surrogate() -> None:
    surrogate = torch.zeros(2, requires_grad=True)
    value = straight_through(surrogate, torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert value.dtype == torch.float32 and value.tolist() == [1, 2]


@pytest.mark.parametrize(("bits", "spread"), [(2, 5), (4, 14), (8, 24)])
def test_synapses_that_were_trained_without_bits_have_a_wide_step(bits: int, spread: int) -> None:
    w = torch.tensor([[1.0, 3.0]])
    step = LayerQuantiser(replace(SCHEME, synapse_bits=bits, step="wide")).synapses(w, w, x_max=1)[2]
    assert step.item() == pytest.approx(spread * 2 / (2**bits - 1))


def test_currents_that_float32_cannot_hold_are_float64() -> None:
    quantiser, w = LayerQuantiser(SCHEME), torch.ones(1, 2)
    assert quantiser.synapses(w, w, x_max=(1 << 24) // 6)[0].dtype == torch.float32
    assert quantiser.synapses(w, w, x_max=(1 << 24) // 6 + 1)[0].dtype == torch.float64
    assert quantiser.signed_synapses(w, x_max=(1 << 23) - 1)[0].dtype == torch.float32
    assert quantiser.signed_synapses(w, x_max=1 << 23)[0].dtype == torch.float64


def test_saturated_codes_have_no_gradient_and_pull_a_learned_step() -> None:
    quantiser = LayerQuantiser(replace(SCHEME, step="learned"))
    w_ee, w_ie = torch.tensor([[0.1, 0.2, 20.0]], requires_grad=True), torch.tensor([[0.1]])
    codes, _, step, _ = quantiser.synapses(w_ee, w_ie, x_max=1)
    assert step.item() == pytest.approx(5 * 5.1 / 3) and codes.tolist() == [[0, 0, 2]]
    with torch.no_grad():
        assert quantiser.log_step is not None
        quantiser.log_step.fill_(0.0)
    codes, _, step, _ = quantiser.synapses(w_ee, w_ie, x_max=1)
    assert step.item() == 1 and codes.tolist() == [[0, 0, 3]]
    codes.sum().backward()
    assert w_ee.grad is not None and w_ee.grad.tolist() == [[1, 1, 0]]
    # -(0.1 + 0.2) of the codes that are not saturated, times 1 / sqrt(weights * largest code).
    assert quantiser.log_step.grad is not None
    assert quantiser.log_step.grad.item() == pytest.approx(-0.3 / math.sqrt(4 * 3))


def test_signed_synapses_are_symmetric() -> None:
    w = torch.tensor([[-4.0, 0.5, 1.5], [0.0, 1.0, 5.0]])
    codes, step = LayerQuantiser(replace(SCHEME, synapse_bits=3)).signed_synapses(w, x_max=1)
    assert step.item() == pytest.approx(2.45 * 2 / 3)
    assert codes.tolist() == [[-2, 0, 1], [0, 1, 3]]
    assert LayerQuantiser(replace(SCHEME, synapse_bits=3)).signed_synapses(-w, 1)[0].tolist() == (-codes).tolist()
    outlier = torch.tensor([[0.1, -0.1, 0.1, -0.1, 90.0, -0.1, 0.1, -0.1]])
    assert LayerQuantiser(replace(SCHEME, synapse_bits=3)).signed_synapses(outlier, 1)[0].max() == 3
    with pytest.raises(ChandelierError, match=r"^synapses of a network without inhibition are signed: .* not 1$"):
        LayerQuantiser(replace(SCHEME, synapse_bits=1)).signed_synapses(w, 1)


def test_inhibition_is_in_units_of_its_middle() -> None:
    w_ei = torch.tensor([[0.5, 0.0], [0.25, 9.0]])
    codes, a = LayerQuantiser(SCHEME).inhibition(w_ei, i_max=10)
    assert a == 2 << 2 and codes.tolist() == [[4, 0], [2, 7]]
    # float32's 1/6 is above a sixth, and half of its 1/3: with the step in float32, it would be rounded down.
    codes, a = LayerQuantiser(replace(SCHEME, inhibition_bits=1)).inhibition(torch.full((1, 3), 1 / 6), i_max=10)
    assert a == 3 and codes.tolist() == [[1, 1, 1]]
    most = (1 << 24) // (2 * 7 * 3)
    assert LayerQuantiser(SCHEME).inhibition(w_ei, most)[0].dtype == torch.float32
    assert LayerQuantiser(SCHEME).inhibition(w_ei, most + 1)[0].dtype == torch.float64


def test_a_common_factor_of_gains_goes_into_their_step() -> None:
    codes, step = LayerQuantiser(replace(SCHEME, gain_i_bits=3)).gain_i(torch.tensor([1.4, 0.6, 0.0]))
    assert codes.tolist() == [7, 3, 0] and step.item() == pytest.approx(0.2)
    codes, step = LayerQuantiser(replace(SCHEME, gain_i_bits=3)).gain_i(torch.tensor([0.7, 0.7]))
    assert codes.tolist() == [1, 1] and step.item() == pytest.approx(0.7)


def test_gains_have_as_many_fractional_bits_as_fit() -> None:
    g_e, b_e = torch.tensor([1.5, 0.25]), torch.tensor([-100.0, 0.5, 0.28, 100.0])
    neurons = LayerQuantiser(SCHEME).neurons(g_e, b_e, torch.tensor(0.5, dtype=torch.float64), table_bits=8)
    assert neurons.g_e.tolist() == [12, 2] and neurons.shift == 8 + 2 - 4  # 3.0 takes two bits of four
    assert neurons.b_e.tolist() == [-128, 8, 4, 127]
    least = LayerQuantiser(SCHEME).neurons(g_e * 1000, b_e, torch.tensor(1.0), table_bits=0)
    assert least.shift == 0 and least.g_e.tolist() == [15, 15]
    most = LayerQuantiser(SCHEME).neurons(g_e * 2.0**-60, b_e, torch.tensor(1.0), table_bits=8)
    assert most.shift == 40
    assert LayerQuantiser(SCHEME).neurons(g_e * 0, b_e, torch.tensor(1.0), table_bits=8).shift == 8 - 4
    none = LayerQuantiser(SCHEME).neurons(torch.tensor([1.5, 0.0, -1.5]), b_e, torch.tensor(1.0), table_bits=8)
    assert none.g_e.tolist() == [12, 0, 0]


def test_neurons_are_those_of_the_scheme() -> None:
    quantiser = LayerQuantiser(replace(SCHEME, reciprocal=Reciprocal(3, 6)))
    codes = quantiser.neurons(torch.tensor([1.0]), torch.tensor([0.5]), torch.tensor(1.0), table_bits=6)
    neurons = quantiser.integer_neurons(codes, tau_shift=3, g_i=torch.tensor([2.0, 3.0]), floor=5)
    assert neurons.g_i.tolist() == [2, 3] and neurons.g_e.tolist() == [8] and neurons.b_e.tolist() == [8]
    assert (neurons.gain_i_bits, neurons.gain_e_bits, neurons.shift) == (2, 4, 6 + 3 - 4)
    assert (neurons.reciprocal, neurons.membrane) == (Reciprocal(3, 6), SCHEME.membrane)
    assert (neurons.tau_shift, neurons.theta, neurons.floor) == (3, 16, 5)
    plain = quantiser.integer_neurons(codes, tau_shift=1)
    assert plain.reciprocal is None and plain.g_i.shape == (0,) and plain.floor == 0
    assert plain.g_i.dtype == neurons.g_i.dtype == np.uint8
    # 3 * 8 * 40 / 2**5, and the bias; with a denominator of 4, whose entry is 60 of 2**6, that is 40 / 4 * 1.0.
    assert codes.scaled(torch.tensor([3])).tolist() == [(round(3 * 8 / 2**5) + 8) / 16]
    assert codes.divided(torch.tensor([40.0])[None], torch.tensor([40.0])[None])[0].tolist() == [
        (math.floor(8 * 40 * Reciprocal(3, 6).entry(40) / 2 ** (5 + 5) + 0.5) + 8) / 16
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_has_no_code_is_named(value: float) -> None:
    quantiser, good, bad = LayerQuantiser(SCHEME), torch.ones(2, 2), torch.tensor([[1.0, value], [1.0, 1.0]])
    one = torch.tensor(1.0)
    for name, use in {
        "w_ee": lambda: quantiser.synapses(bad, good, 1),
        "w_ie": lambda: quantiser.synapses(good, bad, 1),
        "w_ei": lambda: quantiser.inhibition(bad, 1),
        "g_i": lambda: quantiser.gain_i(bad[0]),
        "g_e": lambda: quantiser.neurons(bad[0], good[0], one, 8),
        "b_e": lambda: quantiser.neurons(good[0], bad[0], one, 8),
    }.items():
        with pytest.raises(ChandelierError, match=rf"^{name} holds {value}, which has no integer code$"):
            use()
    with pytest.raises(ChandelierError, match=rf"^w_ee holds {value}, "):
        quantiser.signed_synapses(bad, 1)


def test_nothing_but_zeros_is_refused() -> None:
    quantiser, zeros = LayerQuantiser(SCHEME), torch.zeros(2, 2)
    with pytest.raises(ChandelierError, match=r"^w_ee and w_ie have the mean 0.0: there is nothing to quantise$"):
        quantiser.synapses(zeros, zeros, 1)
    with pytest.raises(ChandelierError, match=r"^w_ee is zero everywhere: there is nothing to quantise$"):
        quantiser.signed_synapses(zeros, 1)
    with pytest.raises(ChandelierError, match=r"^g_i is zero everywhere: .* at least one gain above zero$"):
        quantiser.gain_i(zeros[0])
