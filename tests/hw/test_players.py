"""What plays the payloads of a serial shell: samples with and without their zeros, pieces in any order, texts."""

import random
from typing import Any

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.load_image import image_of_words
from hw.loadable import load_words
from hw.loader import Status
from hw.network import Network
from hw.players import PiecePlayer, SamplePlayer, TextSender
from hw.protocol import Piece, pack_codes, without_zeros
from tests.hw.test_loader import MARK, Store
from tests.random_networks import random_codes, random_network

#: Bytes of a payload's slot.
CAPACITY = 60
SHA256 = "0123456789abcdef" * 4


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_samples_become_events(seed: int, sparse: bool) -> None:
    network = random_network(seed, largest=20)
    port = Network(network).manifest(generator="t", name="t", network_sha256=SHA256, files={}).input
    (codes,) = random_codes(network, 1, seed)
    codes[..., 5 : 5 + 3 * seed] = 0  # runs of zeros
    rng, (payload,) = random.Random(seed), (row.tobytes() for row in pack_codes(codes[None], port.bits))
    sent = without_zeros(payload) if sparse else payload
    player, beats = SamplePlayer(port, capacity=2 * len(payload)), list[Any]()
    expected: list[Any] = [
        event
        for row in codes.reshape(-1, port.features)
        for event in [*((int(j), int(row[j])) for j in np.flatnonzero(row)), "last"]
    ]
    index, value, last = port.fields

    async def testbench(ctx: Any) -> None:
        ctx.set(player.go, 1)
        ctx.set(player.sparse, sparse)
        ctx.set(player.length, len(sent))
        address = 0
        for _ in range(60 * len(payload) + 40 * len(expected)):
            ready = rng.random() < 0.5
            ctx.set(player.o.ready, ready)
            ctx.set(player.data, sent[address] if address < len(sent) else rng.randrange(256))
            *_, valid, beat, address = await ctx.tick().sample(player.o.valid, player.o.p, player.address)
            ctx.set(player.go, 0)
            if not valid or not ready:
                continue
            if beat >> last.offset & 1:
                beats.append("last")
                continue
            values = [beat >> value.offset + k * value.stride & (1 << value.width) - 1 for k in range(value.lanes)]
            ((lane, code),) = [(k, v) for k, v in enumerate(values) if v]
            place = beat >> index.offset + lane * index.stride & (1 << index.width) - 1
            beats.append((place * index.lanes + lane, code))

    simulator = Simulator(player)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert beats == expected, f"seed {seed}"


class Loading(wiring.Component):
    """Memories with their loader behind the player of pieces."""

    go: Signal
    length: Signal
    address: Signal
    data: Signal
    done: Signal
    held: Signal
    wanted: Signal
    status: Signal

    def __init__(self, store: Store, words: int, network: int) -> None:
        self.store, self._pieces = store, PiecePlayer(words=words, network=network, capacity=CAPACITY)
        inputs = {"go": In(1), "length": In(range(CAPACITY + 1)), "data": In(8)}
        outputs = {"address": range(CAPACITY + 1), "done": 1, "held": 64, "wanted": 32, "status": Status}
        super().__init__({**inputs, **{name: Out(shape) for name, shape in outputs.items()}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.store, m.submodules.pieces = store, pieces = self.store, self._pieces
        wiring.connect(m, pieces.c, store.c)
        m.d.comb += [store.rest.eq(1), pieces.status.eq(store.status), self.status.eq(store.status)]
        m.d.comb += [getattr(pieces, name).eq(getattr(self, name)) for name in ("go", "length", "data")]
        m.d.comb += [getattr(self, name).eq(getattr(pieces, name)) for name in ("address", "done", "held", "wanted")]
        return m


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("seed", range(2))
def test_pieces_are_taken_in_their_order_and_once(seed: int) -> None:
    """Of three images, one of them damaged, in pieces that are lost, come twice, or meet those of another one."""
    rng, first = random.Random(seed), Store(random.Random(0))
    numbers = [load_words(Store(random.Random(k)).links) for k in range(3)]
    images = [image_of_words(MARK, words) for words in numbers]
    images[2] = images[2][:30] + bytes([images[2][30] ^ 1]) + images[2][31:]
    words = len(images[0]) // 4
    dut, checks = Loading(first, words, network=0), dict.fromkeys(Status, 0)
    held, place, status, kept = 0, 0, Status.READY, 0

    async def play(ctx: Any, payload: bytes) -> None:
        ctx.set(dut.go, 1)
        ctx.set(dut.length, len(payload))
        address = done = 0
        while not done:
            ctx.set(dut.data, payload[address] if address < len(payload) else rng.randrange(256))
            *_, done, address = await ctx.tick().sample(dut.done, dut.address)
            ctx.set(dut.go, 0)
        await ctx.tick().repeat(3)  # it takes longer than that to send an answer

    async def testbench(ctx: Any) -> None:
        nonlocal held, place, status, kept
        await ctx.tick()
        at, k = 0, 1
        for number in range(120):
            if at >= words or rng.random() < 0.03:
                k, at = rng.randrange(3), 0
            count = rng.randrange(1, (CAPACITY - 12) // 4 + 1)
            piece = images[k][4 * at :][: 4 * count]
            sent = Piece(k.to_bytes(8, "little"), at, piece).pack()
            wanted = place if k == held and status != Status.REFUSED else 0
            for _ in range(rng.choice([0, 1, 1, 1, 1, 1, 1, 1, 1, 2])):  # lost, once, twice
                if at == wanted and wanted != words:
                    held, place, status = k, at + len(piece) // 4, Status.LOADING
                    if place == words:
                        status = Status.REFUSED if k == 2 else Status.READY
                        kept = k
                    wanted = 0 if status == Status.REFUSED else place
                await play(ctx, sent)
                got = (ctx.get(dut.held), ctx.get(dut.wanted), ctx.get(dut.status))
                assert got == (held, wanted, status), f"seed {seed}, piece {number}"
                checks[status] += 1
            if status == Status.READY:
                assert first.contents(ctx) == numbers[kept], f"seed {seed}, piece {number}"
            at = at + count if rng.random() < 0.9 else wanted

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert min(checks.values()) > 3, checks


@pytest.mark.parametrize("appendix", [b"", b"x", bytes([1, 2, 250, 7])])
def test_texts_are_sent_with_and_without_what_is_appended(appendix: bytes) -> None:
    rng, dut, got = random.Random(1), TextSender(longest=5, appendix=appendix), list[list[int]]()
    texts = [(rng.randbytes(rng.randrange(1, 6)), bool(appendix) and rng.random() < 0.5) for _ in range(12)]

    async def testbench(ctx: Any) -> None:
        for text, appends in texts:
            ctx.set(dut.go, 1)
            ctx.set(dut.text, int.from_bytes(text, "little"))
            ctx.set(dut.length, len(text))
            ctx.set(dut.appends, appends)
            await ctx.tick()
            ctx.set(dut.go, 0)
            ctx.set(dut.text, rng.randrange(1 << 40))
            got.append([])
            done = last = False
            while not done:
                ready = rng.random() < 0.5
                ctx.set(dut.o.ready, ready)
                *_, valid, part, done = await ctx.tick().sample(dut.o.valid, dut.o.p, dut.done)
                if valid and ready:
                    got[-1].append(part.byte)
                    last = bool(part.last)
                assert done == (valid and ready and last)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert [bytes(text) for text in got] == [text + appendix * appends for text, appends in texts]
