"""The protocol in plain Python: every frame comes back, nothing else does, and codes are where they should be."""

import random
import zlib

import numpy as np
import pytest

from hw.loader import Status
from hw.protocol import END, Counters, Frame, FrameDecoder, Greeting, Result, code_bits, pack_codes
from tests.faults import spoil


def random_frame(rng: random.Random, longest: int = 40) -> Frame:
    """With many bytes that have to be escaped."""
    payload = bytes(rng.choice([0xC0, 0xDB, 0xDC, 0xDD, rng.randrange(256)]) for _ in range(rng.randrange(longest + 1)))
    return Frame(rng.randrange(256), rng.randrange(256), payload)


def test_frames_come_back_in_pieces_of_any_size() -> None:
    rng = random.Random(1)
    frames = [random_frame(rng) for _ in range(200)]
    line, decoder, got = b"".join(frame.encode() for frame in frames), FrameDecoder(), list[Frame]()
    while line:
        size = rng.randrange(1, 30)
        got += decoder.feed(line[:size])
        line = line[size:]
    assert got == frames
    assert decoder.bad == 0


def test_spoilt_frames_are_dropped_and_the_next_is_right() -> None:
    for seed in range(2000):
        rng = random.Random(seed)
        before, after = random_frame(rng), random_frame(rng)
        got = list(FrameDecoder().feed(spoil(rng, before.encode()) + after.encode()))
        # Noise may leave a frame whole, or whole twice.
        assert got[-1] == after, f"seed {seed}"
        assert all(frame == before for frame in got[:-1]), f"seed {seed}"


def test_length_is_checked_even_where_the_crc_is_right() -> None:
    body = bytes([1, 2, 1, 0, 7, 7])
    body += zlib.crc32(body).to_bytes(4, "little")
    decoder = FrameDecoder()
    assert END not in body
    assert list(decoder.feed(bytes([END]) + body + bytes([END]))) == []
    assert decoder.bad == 1


def test_payloads_come_back() -> None:
    greeting = Greeting(2, 4, bytes(range(8)), 784, 8, 1, 10, 2, 1234, Status.LOADING)
    assert Greeting.unpack(greeting.pack()) == greeting
    assert Counters.unpack(bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1])) == Counters(1, 2, 3, 1 << 24)
    assert Result.unpack(bytes([3, 0, 9, 1, 0, 0, 0xFF, 0xFF, 5, 0]), 2) == Result(3, 265, (-1, 5))


@pytest.mark.parametrize("payload", [b"", bytes(7), bytes(17)])
def test_payloads_of_a_wrong_length(payload: bytes) -> None:
    for unpack in (Greeting.unpack, Counters.unpack, lambda data: Result.unpack(data, 2)):
        with pytest.raises(ValueError, match=r"ha(s|ve) .* not"):
            unpack(payload)


@pytest.mark.parametrize("bits", range(1, 9))
def test_codes_lie_side_by_side(bits: int) -> None:
    rng = np.random.default_rng(bits)
    features, steps, width = 13, 3, code_bits(bits)
    assert width in (1, 2, 4, 8)
    assert width >= bits
    codes = rng.integers(0, 1 << bits, (5, steps, features)).astype(np.uint8)
    payloads = pack_codes(codes, bits)
    for sample, payload in zip(codes, payloads, strict=True):
        for step, row in zip(sample, payload.reshape(steps, -1), strict=True):
            number = int.from_bytes(row.tobytes(), "little")
            assert [number >> k * width & (1 << width) - 1 for k in range(features)] == list(step)
            assert number >> features * width == 0
