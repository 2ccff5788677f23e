"""Beats: what is sent and what is read back, against bit-by-bit Python."""

from itertools import zip_longest
from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hw.manifest import InputPort, PayloadField
from sim.beats import FIRST_OF_SAMPLE, input_beats, tap_values, unpack
from sim.harness import Tap


def _field(signal: str, offset: int, width: int, stride: int = 0, lanes: int = 1, **kind: int) -> PayloadField:
    signed, neurons = bool(kind.get("signed", 0)), kind.get("neurons", lanes)
    return PayloadField(
        signal=signal, offset=offset, stride=stride, width=width, signed=signed, lanes=lanes, neurons=neurons
    )


@given(
    seed=st.integers(0, 2**32),
    samples=st.integers(0, 5),
    features=st.integers(1, 20),
    bits=st.integers(1, 8),
    kind=st.sampled_from(("static", "sequence")),
    density=st.sampled_from((0.0, 0.2, 1.0)),
    lanes=st.integers(1, 3),
)
def test_input_beats(
    seed: int, samples: int, features: int, bits: int, kind: Literal["static", "sequence"], density: float, lanes: int
) -> None:
    steps = 3
    index_bits = max(1, (features - 1).bit_length())
    event_bits = index_bits + bits
    event = [_field("index", 0, index_bits, event_bits, lanes), _field("value", index_bits, bits, event_bits, lanes)]
    last_bit = lanes * event_bits
    fields = [*event, _field("last", last_bit, 1)]
    port = InputPort(features=features, bits=bits, kind=kind, steps=steps, fields=fields, width=last_bit + 1)
    rng = np.random.default_rng(seed)
    shape = (samples, features) if kind == "static" else (samples, steps, features)
    codes = (rng.integers(0, 1 << bits, shape) * (rng.random(shape) < density)).astype(np.uint8)

    expected: list[int] = []
    for sample in codes:
        first = len(expected)
        for vector in sample.reshape(-1, features):
            events = [
                [(j // lanes | int(vector[j]) << index_bits) << lane * event_bits for j in range(lane, features, lanes)]
                for lane in range(lanes)
            ]
            lit = [
                [event for event in own if event >> lane * event_bits >> index_bits] for lane, own in enumerate(events)
            ]
            expected += [sum(beat) for beat in zip_longest(*lit, fillvalue=0)]
            expected.append(1 << last_bit)
        expected[first] |= int(FIRST_OF_SAMPLE)
    assert input_beats(port, codes).tolist() == expected


@given(st.data())
def test_unpack(data: st.DataObject) -> None:
    width, lanes, offset = (data.draw(st.integers(low, high)) for low, high in ((1, 64), (1, 5), (0, 70)))
    stride = width + data.draw(st.integers(0, 9))
    signed = data.draw(st.booleans())
    field = _field("x", offset, width, stride, lanes, signed=signed)
    words = -(-(offset + stride * lanes) // 64)
    payloads = data.draw(st.lists(st.integers(0, (1 << 64 * words) - 1), max_size=4))

    def element(payload: int, lane: int) -> int:
        code = payload >> (offset + stride * lane) & ((1 << width) - 1)
        return code - (1 << width) if signed and code >> (width - 1) else code

    packed = [[payload >> (64 * w) & (2**64 - 1) for w in range(words)] for payload in payloads]
    got = unpack(np.array(packed, np.uint64).reshape(-1, words), field)
    # An unsigned number of 64 bits is the one that int64 cannot hold.
    expected = [[np.uint64(element(p, lane) % 2**64).astype(np.int64) for lane in range(lanes)] for p in payloads]
    assert got.tolist() == expected


def test_sets_of_several_beats_lose_their_padding() -> None:
    fields = [_field("bal", 0, 8, 16, 2, signed=1, neurons=3), _field("d", 8, 8, 16, 2, neurons=3)]
    tap = Tap(0, "t.o", "", "", "", width=32, beats=2, sets=1, rows=1, fields=fields)
    words = np.array([0x01FF02FE, 0xEEEE03FD, 0x04FC05FB, 0xEEEE06FA, 0xDEAD], np.uint64)  # the last set is cut off
    values = tap_values(tap, words)
    assert values["bal"].tolist() == [[-2, -1, -3], [-5, -4, -6]]
    assert values["d"].tolist() == [[2, 1, 3], [5, 4, 6]]


def test_sets_whose_rows_come_in_turn() -> None:
    """Two rows of two beats of a neuron, of three sets: the first row of all sets first, and so in each sample."""
    tap = Tap(0, "t.o", "", "", "", width=8, beats=4, sets=3, rows=2, fields=[_field("v", 0, 8, 8, 1, neurons=4)])
    sample = [10, 11, 20, 21, 30, 31, 12, 13, 22, 23, 32, 33]
    words = np.array([*sample, *(100 + word for word in sample), 7, 7, 7, 7], np.uint64)  # the last is cut off
    sets = [[10 * k, 10 * k + 1, 10 * k + 2, 10 * k + 3] for k in (1, 2, 3)]
    assert tap_values(tap, words)["v"].tolist() == sets + [[100 + value for value in own] for own in sets]


@given(
    seed=st.integers(0, 2**32),
    samples=st.integers(0, 4),
    features=st.integers(1, 100),
    bits=st.integers(1, 8),
    kind=st.sampled_from(("static", "sequence")),
)
def test_whole_input_vectors(
    seed: int, samples: int, features: int, bits: int, kind: Literal["static", "sequence"]
) -> None:
    steps, width = 3, features * bits
    x = _field("x", 0, bits, bits, features)
    port = InputPort(features=features, bits=bits, kind=kind, steps=steps, fields=[x], width=width)
    shape = (samples, features) if kind == "static" else (samples, steps, features)
    codes = np.random.default_rng(seed).integers(0, 1 << bits, shape).astype(np.uint8)

    expected: list[int] = []
    for sample in codes:
        first = len(expected)
        for vector in sample.reshape(-1, features):
            payload = sum(int(code) << k * bits for k, code in enumerate(vector))
            expected += [payload >> shift & (1 << 63) - 1 for shift in range(0, width, 63)]
        expected[first] |= int(FIRST_OF_SAMPLE)
    assert input_beats(port, codes).tolist() == expected
