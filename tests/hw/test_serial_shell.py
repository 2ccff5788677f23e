"""The serial shell around a network, in Amaranth's simulator: every request over the pins, and every kind of error."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.manifest import Manifest
from hw.network import Network
from hw.protocol import (
    ANSWER,
    Counters,
    Frame,
    FrameDecoder,
    Greeting,
    Message,
    Refusal,
    Result,
    pack_codes,
    without_zeros,
)
from hw.serial_shell import WINDOW, SerialShell
from hw.uart import line as uart_line
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from tests.faults import spoil
from tests.hw.test_network import random_foldings
from tests.hw.test_uart import sampled, waveform
from tests.random_networks import random_codes, random_network
from tests.reference import reference

DIVISOR = 4
#: Seeds of networks, which are few, whose results differ from sample to sample.
LIVELY = (63, 94, 131, 157)
SHA256 = "0123456789abcdef" * 4


class Board(wiring.Component):
    """A network in its shell."""

    rx: Signal
    tx: Signal

    def __init__(self, network: IntegerNetwork, seed: int) -> None:
        self._network = Network(network, random_foldings(network, seed))
        self.manifest: Manifest = self._network.manifest(generator="test", name="t", network_sha256=SHA256, files={})
        self._shell = SerialShell(self.manifest, divisor=DIVISOR)
        super().__init__({"rx": uart_line(In), "tx": uart_line(Out)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.network, m.submodules.shell = network, shell = self._network, self._shell
        m.d.comb += [shell.rx.eq(self.rx), self.tx.eq(shell.tx)]
        m.d.comb += [network.i.valid.eq(shell.events.valid), network.i.p.eq(shell.events.p)]
        m.d.comb += [shell.events.ready.eq(network.i.ready)]
        wiring.connect(m, network.o, shell.results)
        return m


def talk(board: Board, lines: Sequence[tuple[bytes, int | None]]) -> list[Frame]:
    """Sends each line and waits for the answer of that sequence number, or a while without one; all answers."""
    decoder, got = FrameDecoder(), list[Frame]()

    async def host(ctx: Any) -> None:
        for line, awaited in lines:
            for level in sampled(part for byte in line for part in waveform(byte, DIVISOR)):
                ctx.set(board.rx, level)
                await ctx.tick()
            ctx.set(board.rx, 1)
            quiet = 0
            await ctx.tick().repeat(10_000 if awaited is None else 1)
            while awaited is not None and all(frame.sequence != awaited for frame in got):
                await ctx.tick()
                quiet += 1
                assert quiet < 50_000, f"no answer to {line.hex(' ')}"

    async def listener(ctx: Any) -> None:
        while True:
            while ctx.get(board.tx):
                await ctx.tick()
            await ctx.tick().repeat(DIVISOR + DIVISOR // 2)
            byte = 0
            for k in range(8):
                byte |= ctx.get(board.tx) << k
                await ctx.tick().repeat(DIVISOR)
            assert ctx.get(board.tx) == 1
            got.extend(decoder.feed(bytes([byte])))

    simulator = Simulator(board)
    simulator.add_clock(1e-6)
    simulator.add_testbench(host)
    simulator.add_testbench(listener, background=True)
    simulator.run()
    assert decoder.bad == 0
    return got


def expected_result(network: IntegerNetwork, codes: np.ndarray) -> tuple[int, tuple[int, ...]]:
    """Class and logits of a sample, by the reference."""
    signals, last = reference(network, codes), len(network.layers) - 1
    return int(signals[last, "class"][0][0]), tuple(int(v) for v in signals[last, "logits"][0])


@pytest.mark.parametrize("seed", LIVELY)
def test_results_are_those_of_the_network(seed: int) -> None:
    network = random_network(seed, largest=9)
    board = Board(network, seed)
    codes = random_codes(network, 6, seed)
    assert len({expected_result(network, sample) for sample in codes}) > 2
    payloads = [payload.tobytes() for payload in pack_codes(codes, network.input.bits)]
    sent = [min(without_zeros(p), p, key=len) if k % 2 else p for k, p in enumerate(payloads)]
    kinds = [Message.SAMPLE if p == whole else Message.SPARSE for p, whole in zip(sent, payloads, strict=True)]
    frames = [Frame(kind, k, p).encode() for k, (kind, p) in enumerate(zip(kinds, sent, strict=True))]
    logit_bytes = Greeting.of(board.manifest, WINDOW).logit_bytes
    answers = talk(
        board, [(b"".join(frames[:WINDOW]), WINDOW - 1), *((frame, k) for k, frame in enumerate(frames) if k >= WINDOW)]
    )
    for k, (answer, sample) in enumerate(zip(answers, codes, strict=True)):
        assert (answer.kind, answer.sequence) == (ANSWER | kinds[k], k), f"seed {seed}"
        result = Result.unpack(answer.payload, logit_bytes)
        assert (result.predicted, result.logits) == expected_result(network, sample), f"seed {seed}, sample {k}"
        assert result.cycles > 0


def test_every_other_request() -> None:
    network = random_network(1, largest=5)
    board = Board(network, 1)
    lines = [
        (Frame(Message.PING, 1).encode(), 1),
        (Frame(Message.LOAD, 2, b"\1").encode(), 2),
        (Frame(77, 3).encode(), 3),
        (Frame(Message.PING, 4, b"\0").encode(), 4),
        (Frame(Message.SAMPLE, 5).encode(), 5),
        (bytes([0xC0, 1, 2, 3, 0xC0]) + Frame(Message.COUNTERS, 6).encode(), 6),
        (Frame(Message.RESET, 0xC0).encode(), 0xC0),
        (Frame(Message.COUNTERS, 0xDB).encode(), 0xDB),
        (Frame(Message.DESCRIBE, 7).encode(), 7),
    ]
    answers = talk(board, lines)
    refused = int(Message.REFUSED)
    assert answers == [
        Frame(ANSWER | Message.PING, 1, Greeting.of(board.manifest, WINDOW).pack()),
        Frame(refused, 2, bytes([Refusal.UNKNOWN_TYPE])),
        Frame(refused, 3, bytes([Refusal.UNKNOWN_TYPE])),
        Frame(refused, 4, bytes([Refusal.WRONG_LENGTH])),
        Frame(refused, 5, bytes([Refusal.WRONG_LENGTH])),
        Frame(ANSWER | Message.COUNTERS, 6, b"".join(n.to_bytes(4, "little") for n in (6, 1, 0, 0))),
        Frame(ANSWER | Message.RESET, 0xC0),
        Frame(ANSWER | Message.COUNTERS, 0xDB, b"".join(n.to_bytes(4, "little") for n in (1, 0, 0, 0))),
        Frame(refused, 7, bytes([Refusal.UNKNOWN_TYPE])),
    ]
    assert Counters.unpack(answers[5].payload) == Counters(6, 1, 0, 0)


def test_more_requests_than_have_room() -> None:
    """Whatever is lost is lost as a whole; the counters say how many, and the next request is answered."""
    board = Board(random_network(1, largest=5), 1)
    burst = b"".join(Frame(Message.PING, k).encode() for k in range(40))
    *pings, last = talk(board, [(burst, None), (Frame(Message.COUNTERS, 99).encode(), 99)])
    assert all(answer.kind == ANSWER | Message.PING for answer in pings)
    sequence = [answer.sequence for answer in pings]
    assert sequence == sorted(set(sequence))
    assert Counters.unpack(last.payload) == Counters(len(pings) + 1, 0, 40 - len(pings), 0)


def test_spoilt_samples_are_never_answered_wrongly() -> None:
    """Each spoilt frame is followed by a good one, whose result has to be right."""
    network = random_network(LIVELY[2], largest=9)
    board, rng = Board(network, 2), random.Random(2)
    codes = random_codes(network, 8, 2)
    payloads = pack_codes(codes, network.input.bits)
    logit_bytes = Greeting.of(board.manifest, WINDOW).logit_bytes
    expected = [expected_result(network, sample) for sample in codes]
    assert len(set(expected)) > 2
    lines = []
    for k in range(12):
        spoilt = spoil(rng, Frame(Message.SAMPLE, rng.randrange(8), payloads[rng.randrange(8)].tobytes()).encode())
        lines.append((spoilt + Frame(Message.SAMPLE, 100 + k, payloads[k % 8].tobytes()).encode(), 100 + k))
    answers = [a for a in talk(board, lines) if a.sequence >= 100]
    for answer in answers:
        result = Result.unpack(answer.payload, logit_bytes)
        assert (result.predicted, result.logits) == expected[(answer.sequence - 100) % 8]
    assert [answer.sequence for answer in answers] == list(range(100, 112))


def test_designs_that_a_serial_port_is_not_for() -> None:
    manifest = Network(random_network(1, largest=5)).manifest(generator="t", name="t", network_sha256=SHA256, files={})
    dense = manifest.input.model_copy(update={"fields": manifest.input.fields[:1]})
    with pytest.raises(ChandelierError, match=r"^a fully spatial design takes a whole input at once: a serial port is"):
        SerialShell(manifest.model_copy(update={"input": dense}), divisor=DIVISOR)
    large = manifest.input.model_copy(update={"features": 65_536, "bits": 8})
    with pytest.raises(
        ChandelierError, match=r"^a sample of this network takes 65,536 bytes, and a frame holds 65,535: "
    ):
        SerialShell(manifest.model_copy(update={"input": large}), divisor=DIVISOR)
