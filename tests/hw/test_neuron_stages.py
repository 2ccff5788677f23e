"""The stages behind the population unit, each alone: random values, random stalls, plain integers as the oracle."""

import gc
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import UnusedElaboratable
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.divisive import DivisiveInhibition
from hw.lif import LIFCore
from hw.loadable import Register
from hw.readout import Readout, readout_latency
from hw.reciprocal import ReciprocalUnit
from hw.replay import Replay
from hw.scaling import Scaling
from hw.serialiser import Serialiser
from hw.stabiliser import Stabiliser
from quant.arithmetic import Reset
from quant.formats import Format
from quant.reciprocal import Reciprocal
from tests.hw.exchange import exchange

RESETS: list[Reset] = ["subtract", "zero", "delayed"]
seeds = st.integers(0, 10_000)
stalls = st.sampled_from([0.0, 0.5])
examples = settings(max_examples=15)


def _shape(rng: np.random.Generator, most: int = 12) -> tuple[int, int]:
    n = int(rng.integers(1, most + 1))
    return n, int(rng.integers(1, n + 1))


def _beats(lanes: int, **fields: np.ndarray) -> list[Any]:
    """Frames (frames, n) of each field as beats of ``lanes`` neurons, filled up with zeros."""
    filled = {name: np.pad(a, ((0, 0), (0, -a.shape[1] % lanes))).reshape(-1, lanes) for name, a in fields.items()}
    count = len(next(iter(filled.values())))
    return [[{name: int(a[b, k]) for name, a in filled.items()} for k in range(lanes)] for b in range(count)]


def _frames(outputs: list[Any], n: int, field: str) -> list[list[int]]:
    """The values of a field, a list for each frame, without what fills up the last beat."""
    lanes = len(outputs[0])
    per_frame = -(-n // lanes)
    flat = [
        [neuron[field] for beat in outputs[k : k + per_frame] for neuron in beat]
        for k in range(0, len(outputs), per_frame)
    ]
    return [frame[:n] for frame in flat]


def _values(rng: np.random.Generator, fmt: Format, shape: tuple[int, ...]) -> np.ndarray:
    """Random codes, with the extremes and zero more often than chance would have them."""
    values = rng.integers(fmt.min, fmt.max + 1, shape)
    corners = rng.choice([fmt.min, fmt.max, 0], shape)
    return np.where(rng.random(shape) < 0.2, corners, values)


@examples
@given(seed=seeds, stall=stalls)
def test_stabiliser(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    n, lanes = _shape(rng)
    bal, d = Format(int(rng.integers(2, 12)), signed=True), Format(int(rng.integers(1, 12)))
    values = _values(rng, d, (6, n)) * (rng.random((6, n)) < rng.choice([0, 0.3, 1], (6, 1)))
    beats = _beats(lanes, bal=_values(rng, bal, (6, n)), d=values)
    result = exchange(Stabiliser(n=n, lanes=lanes, bal=bal, d=d), beats, len(beats), seed=seed, stall=stall)
    expected = [[v or min((w for w in frame if w), default=0) for v in frame] for frame in values.tolist()]
    assert _frames(result.outputs, n, "d") == expected, f"seed {seed}"
    assert [[x["bal"] for x in b] for b in result.outputs] == [[x["bal"] for x in b] for b in beats]
    if not stall:
        per_frame = -(-n // lanes)
        waits = per_frame == 1 or not all(neuron["d"] for neuron in beats[0])
        came, latency = (per_frame - 1, Stabiliser.LATENCY) if waits else (0, Stabiliser.PASSING)
        assert result.received[0] - result.sent[came] == latency


@pytest.mark.parametrize(("index_bits", "bits"), [(0, 2), (4, 8), (6, 8)])
def test_reciprocal_of_every_denominator_of_ten_bits(index_bits: int, bits: int) -> None:
    reciprocal, d, bal = Reciprocal(index_bits, bits), Format(10), Format(4, signed=True)
    values = np.arange(1024).reshape(1, -1)
    beats = _beats(8, bal=values % 16 - 8, d=values)
    result = exchange(
        ReciprocalUnit(lanes=8, bal=bal, d=d, reciprocal=reciprocal), beats, len(beats), seed=0, stall=0.2
    )
    assert _frames(result.outputs, 1024, "r")[0] == [0, *(reciprocal.entry(v) for v in range(1, 1024))]
    assert _frames(result.outputs, 1024, "e")[0][1:] == [reciprocal.exponent(v) for v in range(1, 1024)]
    assert _frames(result.outputs, 1024, "bal")[0] == [v % 16 - 8 for v in range(1024)]


@examples
@given(seed=seeds, stall=stalls)
def test_reciprocal_of_any_width(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    index_bits = int(rng.integers(0, 8))
    reciprocal = Reciprocal(index_bits, index_bits + int(rng.integers(2, 6)))
    lanes, d, bal = int(rng.integers(1, 4)), Format(int(rng.integers(1, 41))), Format(3, signed=True)
    values = _values(rng, d, (1, 30)) >> rng.integers(0, d.width, (1, 30))
    beats = _beats(lanes, bal=np.zeros_like(values), d=values)
    unit = ReciprocalUnit(lanes=lanes, bal=bal, d=d, reciprocal=reciprocal)
    result = exchange(unit, beats, len(beats), seed=seed, stall=stall)
    (r,), (e,) = _frames(result.outputs, 30, "r"), _frames(result.outputs, 30, "e")
    for value, got_r, got_e in zip(values[0].tolist(), r, e, strict=True):
        assert got_r == (reciprocal.entry(value) if value else 0), f"seed {seed}, d {value}"
        assert not value or got_e == reciprocal.exponent(value), f"seed {seed}, d {value}"
    if not stall:
        assert result.received[0] - result.sent[0] == ReciprocalUnit.LATENCY
        assert all(b - a == 1 for a, b in pairwise(result.received))


@examples
@given(seed=seeds, stall=stalls, alike=st.booleans(), loadable=st.booleans())
def test_divisive_inhibition(seed: int, stall: float, alike: bool, loadable: bool) -> None:
    rng = np.random.default_rng(seed)
    n, lanes = _shape(rng)
    index_bits, gain_bits, width = int(rng.integers(0, 6)), int(rng.integers(1, 10)), int(rng.integers(4, 14))
    reciprocal, membrane = Reciprocal(index_bits, index_bits + 3), Format(width, signed=True)
    bal, d = Format(int(rng.integers(2, 16)), signed=bool(rng.integers(2))), Format(int(rng.integers(1, 20)))
    g_e, b_e = _values(rng, Format(gain_bits), (n,)), _values(rng, membrane, (n,))
    shift = int(rng.integers(0, 12))
    largest = int(g_e.max()) * ((1 << reciprocal.bits) - 1)
    product = Format.for_range(bal.min * largest, bal.max * largest)
    values, balances = _values(rng, d, (5, n)), _values(rng, bal, (5, n))
    if alike:
        values[:] = values[:, :1]
    dut = DivisiveInhibition(
        lanes=lanes,
        g_e=g_e.tolist(),
        b_e=b_e.tolist(),
        gain_e_bits=gain_bits,
        shift=Register(shift, 6) if loadable else shift,
        reciprocal=reciprocal,
        membrane=membrane,
        bal=bal,
        d=d,
        product=product,
        alike=alike,
    )
    beats = _beats(lanes, bal=balances, d=values)
    result = exchange(dut, beats, len(beats), seed=seed, stall=stall)
    for frame, got in enumerate(_frames(result.outputs, n, "current")):
        for k in range(n):
            divisor, expected = int(values[frame, k]), int(b_e[k])
            if divisor:
                total = shift + reciprocal.exponent(divisor)
                numerator = int(g_e[k]) * int(balances[frame, k]) * reciprocal.entry(divisor)
                expected += (2 * numerator + 2**total) // 2 ** (total + 1)
            expected = max(membrane.min, min(membrane.max, expected))
            assert got[k] == expected, f"seed {seed}, frame {frame}, neuron {k}"
    if not stall:
        assert result.received[0] - result.sent[0] == DivisiveInhibition.LATENCY
        assert all(b - a == 1 for a, b in pairwise(result.received))


@examples
@given(seed=seeds, stall=stalls, loadable=st.booleans())
def test_serialiser(seed: int, stall: float, loadable: bool) -> None:
    rng = np.random.default_rng(seed)
    (n, lanes), a, i_ee = _shape(rng), int(rng.integers(1, 9)), Format(int(rng.integers(2, 9)), signed=True)
    currents = _values(rng, i_ee, (6, n))
    bal = Format.for_range(a * i_ee.min, a * i_ee.max)
    dut = Serialiser(n=n, lanes=lanes, a=Register(a, 24) if loadable else a, i_ee=i_ee, bal=bal)
    beats = [{"i_ee": step} for step in currents.tolist()]
    result = exchange(dut, beats, len(beats) * dut.cycles, seed=seed, stall=stall)
    assert _frames(result.outputs, n, "bal") == (a * currents).tolist(), f"seed {seed}"
    if not stall:
        assert result.received[0] - result.sent[0] == Serialiser.LATENCY
        assert all(b - a == 1 for a, b in pairwise(result.received))
        assert all(b - a == dut.cycles for a, b in pairwise(result.sent[1:]))


@examples
@given(seed=seeds, stall=stalls, loadable=st.booleans())
def test_scaling(seed: int, stall: float, loadable: bool) -> None:
    rng = np.random.default_rng(seed)
    (n, lanes), gain_bits, membrane = (
        _shape(rng),
        int(rng.integers(1, 10)),
        Format(int(rng.integers(4, 14)), signed=True),
    )
    bal, shift = Format(int(rng.integers(2, 16)), signed=bool(rng.integers(2))), int(rng.integers(0, 30))
    g_e, b_e, balances = _values(rng, Format(gain_bits), (n,)), _values(rng, membrane, (n,)), _values(rng, bal, (5, n))
    dut = Scaling(
        lanes=lanes,
        g_e=g_e.tolist(),
        b_e=b_e.tolist(),
        gain_e_bits=gain_bits,
        shift=Register(shift, 6) if loadable else shift,
        membrane=membrane,
        bal=bal,
        product=Format.for_range(bal.min * int(g_e.max()), bal.max * int(g_e.max())),
    )
    beats = _beats(lanes, bal=balances)
    result = exchange(dut, beats, len(beats), seed=seed, stall=stall)
    rounded = (2 * g_e * balances + 2**shift) // 2 ** (shift + 1)
    expected = (rounded + b_e).clip(membrane.min, membrane.max)
    assert _frames(result.outputs, n, "current") == expected.tolist(), f"seed {seed}"
    if not stall:
        assert result.received[0] - result.sent[0] == dut.latency == Scaling.LATENCY + loadable
        assert all(b - a == 1 for a, b in pairwise(result.received))


@examples
@given(seed=seeds, stall=stalls)
def test_replay(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    (n, lanes), times, current = _shape(rng), int(rng.integers(2, 6)), Format(9, 4, signed=True)
    beats = _beats(lanes, current=_values(rng, current, (4, n)))
    per_frame = -(-n // lanes)
    frames = [beats[k : k + per_frame] for k in range(0, len(beats), per_frame)]
    expected = [beat for frame in frames for _ in range(times) for beat in frame]
    dut = Replay(n=n, lanes=lanes, current=current, times=times)
    result = exchange(dut, beats, len(expected), seed=seed, stall=stall)
    assert result.outputs == expected, f"seed {seed}"
    if not stall:
        assert result.received == list(range(len(expected)))


@examples
@given(seed=seeds, stall=stalls)
def test_lif(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    (n, lanes), steps, tau_shift = _shape(rng), int(rng.integers(1, 5)), int(rng.integers(1, 13))
    leak, reset = int(rng.integers((1 << tau_shift) + 1)) * int(rng.integers(4) > 0), RESETS[int(rng.integers(3))]
    membrane = Format(int(rng.integers(4, 14)), signed=True)
    theta = int(rng.integers(1, membrane.max + 1))
    currents = _values(rng, membrane, (3 * steps, n))
    dut = LIFCore(
        n=n, lanes=lanes, steps=steps, membrane=membrane, tau_shift=tau_shift, theta=theta, leak=leak, reset=reset
    )
    beats = _beats(lanes, current=currents)
    result = exchange(dut, beats, len(beats), seed=seed, stall=stall)
    potentials, spikes = _frames(result.outputs, n, "v"), _frames(result.outputs, n, "spike")
    v = [0] * n
    for t in range(3 * steps):
        v = [0] * n if t % steps == 0 else v
        for k in range(n):
            u = v[k] - leak * v[k] // 2**tau_shift + int(currents[t, k])
            u -= theta * (reset == "delayed" and v[k] >= theta)
            assert spikes[t][k] == (u >= theta), f"seed {seed}, step {t}, neuron {k}"
            loss = {"subtract": theta, "zero": u, "delayed": 0}[reset] if u >= theta else 0
            v[k] = max(membrane.min, min(membrane.max, u - loss))
            assert potentials[t][k] == v[k], f"seed {seed}, step {t}, neuron {k}"
    if not stall:
        assert result.received[0] - result.sent[0] == LIFCore.LATENCY
        per_frame = -(-n // lanes)
        firsts = result.received[::per_frame]
        assert all(b - a == max(per_frame, LIFCore.LATENCY) for a, b in pairwise(firsts))


@examples
@given(seed=seeds, stall=stalls)
def test_readout(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    (n, lanes), steps = _shape(rng), int(rng.integers(1, 5))
    bal = Format(int(rng.integers(2, 5)), signed=True)  # narrow: ties happen
    logit = Format.for_range(bal.min * steps, bal.max * steps)
    balances = _values(rng, bal, (5 * steps, n))
    beats = _beats(lanes, bal=balances)
    result = exchange(Readout(n=n, lanes=lanes, steps=steps, bal=bal, logit=logit), beats, 5, seed=seed, stall=stall)
    for sample, output in enumerate(result.outputs):
        logits = balances[sample * steps : (sample + 1) * steps].sum(0).tolist()
        assert output == {"class": logits.index(max(logits)), "logits": logits}, f"seed {seed}, sample {sample}"
    if not stall:
        assert result.received[0] - result.sent[steps * -(-n // lanes) - 1] == readout_latency(lanes)


FORMAT, SIGNED = Format(4), Format(4, signed=True)
DIVISIVE: dict[str, Any] = {
    "g_e": [1, 2],
    "b_e": [0, 0],
    "gain_e_bits": 2,
    "shift": 0,
    "reciprocal": Reciprocal(2, 4),
    "membrane": SIGNED,
    "bal": SIGNED,
    "d": FORMAT,
    "product": Format(10, signed=True),
}
SCALING = {name: value for name, value in DIVISIVE.items() if name not in ("d", "reciprocal")}
LIF: dict[str, Any] = {"n": 3, "lanes": 1, "steps": 1, "membrane": SIGNED, "tau_shift": 1, "theta": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stabiliser(n=3, lanes=4, bal=SIGNED, d=FORMAT), r"lanes of the stabiliser must be 1\.\.3, not 4"),
        (lambda: Stabiliser(n=3, lanes=1, bal=SIGNED, d=SIGNED), "d of the stabiliser must be unsigned"),
        (lambda: ReciprocalUnit(lanes=0, bal=SIGNED, d=FORMAT, reciprocal=Reciprocal(2, 4)), "lanes of the reciprocal"),
        (lambda: DivisiveInhibition(**DIVISIVE, lanes=3), r"lanes of divisive inhibition must be 1\.\.2, not 3"),
        (lambda: DivisiveInhibition(**(DIVISIVE | {"shift": -1}), lanes=1), "shift of divisive inhibition"),
        (lambda: DivisiveInhibition(**(DIVISIVE | {"b_e": [0]}), lanes=1), "b_e of divisive inhibition must have 2"),
        (lambda: Scaling(**SCALING, lanes=0), r"lanes of the scaling must be 1\.\.2, not 0"),
        (lambda: Scaling(**(SCALING | {"shift": -1}), lanes=1), "shift of the scaling must not be negative"),
        (lambda: Scaling(**(SCALING | {"b_e": [0]}), lanes=1), "b_e of the scaling must have 2"),
        (lambda: Serialiser(n=3, lanes=4, a=1, i_ee=SIGNED, bal=SIGNED), r"lanes of the serialiser must be 1\.\.3"),
        (lambda: Serialiser(n=3, lanes=1, a=0, i_ee=SIGNED, bal=SIGNED), "a of the serialiser must be at least 1"),
        (lambda: Replay(n=3, lanes=1, current=SIGNED, times=1), "times of the replay must be at least 2, not 1"),
        (lambda: LIFCore(**(LIF | {"theta": 8})), r"theta of the LIF core must be 1\.\.7, not 8"),
        (lambda: LIFCore(**(LIF | {"tau_shift": 0})), r"tau_shift of the LIF core must be 1\.\.12, not 0"),
        (lambda: LIFCore(**(LIF | {"leak": 3})), r"leak of the LIF core must be 0\.\.2, not 3"),
        (lambda: LIFCore(**(LIF | {"reset": "never"})), "reset of the LIF core must be one of subtract, zero, delayed"),
        (lambda: LIFCore(**(LIF | {"membrane": FORMAT})), "membrane of the LIF core must be signed"),
        (
            lambda: Readout(n=3, lanes=0, steps=1, bal=SIGNED, logit=SIGNED),
            r"lanes of the readout must be 1\.\.3, not 0",
        ),
    ],
)
def test_parameters_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
    with warnings.catch_warnings():  # the half-made component is not elaborated, which Amaranth would remark on
        warnings.simplefilter("ignore", UnusedElaboratable)
        gc.collect()
