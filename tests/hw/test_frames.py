"""Frames in hardware against those in Python: good ones, spoilt ones, too many, with pauses everywhere."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.frames import FrameReceiver, FrameTransmitter
from hw.protocol import Frame, FrameDecoder
from tests.faults import spoil
from tests.hw.exchange import exchange
from tests.hw.test_protocol import random_frame

CAPACITY = 20


def receive(
    line: Sequence[int | None], *, seed: int, window: int, stall: float, busy: float = 0.0
) -> tuple[list[Frame], dict[str, int]]:
    """The frames that the receiver offers, payloads read from its memory, and how often each of its flags was high.

    ``None`` is a byte without a stop bit; ``busy`` the probability, each cycle, that nothing is taken.
    """
    dut, rng, got = FrameReceiver(capacity=CAPACITY, window=window), random.Random(seed), list[Frame]()
    flags = {"good": 0, "bad": 0, "lost": 0}
    done = False

    async def sender(ctx: Any) -> None:
        nonlocal done
        for byte in line:
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.p.as_value(), rng.randrange(256) | 256 if byte is None else byte)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.i.p.as_value(), rng.randrange(512))
            while rng.random() < stall:
                await ctx.tick()
        await ctx.tick().repeat(4 * CAPACITY * window)
        done = True

    async def taker(ctx: Any) -> None:
        while not done:
            await ctx.tick()
            if ctx.get(dut.o.valid) and rng.random() >= busy:
                payload = bytearray()
                for address in range(ctx.get(dut.o.p.length)):
                    ctx.set(dut.address, address)
                    await ctx.tick()
                    payload.append(ctx.get(dut.data))
                got.append(Frame(ctx.get(dut.o.p.kind), ctx.get(dut.o.p.sequence), bytes(payload)))
                ctx.set(dut.o.ready, 1)
                await ctx.tick()
                ctx.set(dut.o.ready, 0)

    async def observer(ctx: Any) -> None:
        async for *_, good, bad, lost in ctx.tick().sample(dut.good, dut.bad, dut.lost):
            for name, flag in zip(flags, (good, bad, lost), strict=True):
                flags[name] += flag

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(sender)
    simulator.add_testbench(taker)
    simulator.add_process(observer)
    simulator.run()
    return got, flags


@pytest.mark.parametrize(("seed", "window", "stall"), [(0, 2, 0.9), (1, 4, 0.8), (2, 3, 0.95)])
def test_good_frames_are_kept(seed: int, window: int, stall: float) -> None:
    rng = random.Random(seed)
    frames = [random_frame(rng, CAPACITY) for _ in range(30)]
    got, flags = receive(b"".join(f.encode() for f in frames), seed=seed, window=window, stall=stall, busy=stall)
    assert flags["good"] + flags["lost"] == len(frames)
    assert flags["bad"] == 0
    assert len(got) == flags["good"]
    left = iter(frames)  # what is lost is lost as a whole, and nothing changes its place
    assert all(frame in left for frame in got)


@pytest.mark.parametrize("seed", range(10))
def test_as_the_decoder_in_python(seed: int) -> None:
    """What is spoilt is dropped by both, and what is good taken by both; each good frame has room."""
    rng, line = random.Random(seed), b""
    for _ in range(30):
        line += random_frame(rng, CAPACITY).encode() if rng.random() < 0.5 else b""
        line += spoil(rng, random_frame(rng, CAPACITY).encode())
    decoder = FrameDecoder()
    expected = [frame for frame in decoder.feed(line + Frame(1, 2).encode()) if len(frame.payload) <= CAPACITY]
    got, flags = receive(line + Frame(1, 2).encode(), seed=seed, window=64, stall=0.5)
    assert got == expected, f"seed {seed}"
    assert flags == {"good": len(expected), "bad": decoder.bad, "lost": 0}, f"seed {seed}"


def test_too_many_frames_leave_those_before_alone() -> None:
    frames = [Frame(k, k, bytes([k] * CAPACITY)) for k in range(10)]
    got, flags = receive(b"".join(f.encode() for f in frames), seed=0, window=3, stall=0.0, busy=0.97)
    assert flags["lost"] > 0
    assert flags["good"] + flags["lost"] == len(frames)
    left = iter(frames)
    assert all(frame in left for frame in got)


@pytest.mark.parametrize("length", [CAPACITY + 1, CAPACITY + 4, CAPACITY + 5, 40, 300])
def test_overlong_frames_are_dropped(length: int) -> None:
    line = Frame(1, 1, bytes(range(CAPACITY))).encode() + Frame(2, 2, bytes(length)).encode() + Frame(3, 3).encode()
    got, flags = receive(line, seed=length, window=8, stall=0.3)
    assert got == [Frame(1, 1, bytes(range(CAPACITY))), Frame(3, 3)]
    assert flags == {"good": 2, "bad": 1, "lost": 0}


def test_a_byte_without_stop_bit_spoils_its_frame_only() -> None:
    good = Frame(3, 3, b"abc").encode()
    for place in range(len(good)):
        line: list[int | None] = [*good, *good, *good]
        line[len(good) + place] = None
        got, flags = receive(line, seed=place, window=4, stall=0.3)
        assert got == [Frame(3, 3, b"abc")] * 2
        assert flags["bad"] == 1, f"place {place}"


@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.5)])
def test_transmitter_sends_what_python_encodes(seed: int, stall: float) -> None:
    rng = random.Random(seed)
    frames = [random_frame(rng) for _ in range(20)]
    bodies = [f.kind.to_bytes(1, "little") + bytes([f.sequence, len(f.payload), 0]) + f.payload for f in frames]
    parts = [{"byte": byte, "last": k == len(body) - 1} for body in bodies for k, byte in enumerate(body)]
    line = b"".join(frame.encode() for frame in frames)
    result = exchange(FrameTransmitter(), parts, len(line), seed=seed, stall=stall)
    assert bytes(result.outputs) == line


@pytest.mark.parametrize(("capacity", "window"), [(0, 2), (1 << 16, 2), (1, 1)])
def test_parameters_are_checked(capacity: int, window: int) -> None:
    with pytest.raises(ValueError, match="of the frame receiver must be"):
        FrameReceiver(capacity=capacity, window=window)
