"""The loader alone, in front of a few memories: no image with a wrong bit is accepted, whatever came before it."""

import random
from typing import Any

import pytest
from amaranth import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.load_image import image_of_words
from hw.loadable import Register, chain_load, load_words
from hw.loader import LOAD_LAYOUT, Loader, Status
from tests.hw.loads import words_of

# One that gives only its words is not elaborated.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

MARK = 0x0123_4567_89AB_CDEF


class Store(wiring.Component):
    """Memories and registers of all widths behind a loader; at rest only in some cycles."""

    c: stream.Interface
    rest: Signal
    hold: Signal
    status: Signal

    def __init__(self, rng: random.Random) -> None:
        layout = data.ArrayLayout(signed(3), 5)
        wide = data.ArrayLayout(7, 10)
        self.links: list[Any] = [
            Memory(shape=layout, depth=5, init=[[rng.randrange(-4, 4) for _ in range(5)] for _ in range(4)]),
            Register(rng.getrandbits(41), 41),
            Memory(shape=wide, depth=2, init=[[rng.getrandbits(7) for _ in range(10)] for _ in range(2)]),
            Register(rng.getrandbits(1), 1),
        ]
        super().__init__({"c": In(stream.Signature(LOAD_LAYOUT)), "rest": In(1), "hold": Out(1), "status": Out(Status)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.loader = loader = Loader(fingerprint=MARK, words=len(load_words(self.links)))
        for k in (0, 2):
            m.submodules[f"memory{k}"] = self.links[k]
        chain_load(m, loader.chain, self.links, loader.tail)
        wiring.connect(m, wiring.flipped(self.c), loader.c)
        m.d.comb += [loader.rest.eq(self.rest), self.hold.eq(loader.hold), self.status.eq(loader.status)]
        return m

    def contents(self, ctx: Any) -> list[int]:
        """The words that they hold."""
        words = []
        for link in self.links:
            memory = isinstance(link, Memory)
            width = link.data.shape.size if memory else len(link.value)
            rows = [ctx.get(link.data[k]).as_bits() for k in range(link.depth)] if memory else [ctx.get(link.value)]
            words += [row >> 32 * k & 0xFFFF_FFFF for row in rows for k in range(-(-width // 32))]
        return words


def _simulate(dut: Store, testbench: Any) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


async def _send(ctx: Any, dut: Store, rng: random.Random, words: list[int], stall: float, *, mark: bool = True) -> None:
    """Sends words, the first of them marked, with pauses; checks that no image begins without rest."""
    for k, word in enumerate(words):
        first, valid, ready = mark and k == 0, 0, 0
        while not (valid and ready):
            valid, rest = valid or rng.random() >= stall, rng.random() >= stall or not first
            ctx.set(dut.c.valid, valid)
            ctx.set(dut.c.p, LOAD_LAYOUT.const({"word": word if valid else rng.getrandbits(32), "first": first}))
            ctx.set(dut.rest, rest)
            *_, ready, hold = await ctx.tick().sample(dut.c.ready, dut.hold)
            assert not (first and valid) or (hold and (rest or not ready))
    ctx.set(dut.c.valid, 0)


async def _settle(ctx: Any, dut: Store) -> Status:
    """The status after the chain has come to its end."""
    await ctx.tick().repeat(len(dut.links) + 4)
    return Status(ctx.get(dut.status))


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_no_image_with_a_wrong_bit_is_accepted(stall: float) -> None:
    """Each bit of an image, turned over: refused; and then the right image: accepted, word for word."""
    rng = random.Random(1)
    numbers = load_words(Store(random.Random(2)).links)
    dut = Store(rng)
    image = words_of(image_of_words(MARK, numbers))

    async def testbench(ctx: Any) -> None:
        assert Status(ctx.get(dut.status)) == Status.READY
        assert dut.contents(ctx) == load_words(dut.links) != numbers
        flips = [(k, bit) for k in range(len(image)) for bit in range(32)]
        for k, bit in flips if not stall else rng.sample(flips, 60):
            damaged = [word ^ (1 << bit if j == k else 0) for j, word in enumerate(image)]
            await _send(ctx, dut, rng, damaged, stall)
            assert await _settle(ctx, dut) == Status.REFUSED, f"word {k}, bit {bit}"
            assert ctx.get(dut.hold)
            if rng.random() < 0.1:
                await _send(ctx, dut, rng, image, stall)
                assert await _settle(ctx, dut) == Status.READY, f"after word {k}, bit {bit}"
                assert dut.contents(ctx) == numbers
                assert not ctx.get(dut.hold)

    _simulate(dut, testbench)


def test_images_that_break_off_or_do_not_end() -> None:
    """After any number of words: the design waits, and a new image begins from its first word."""
    rng = random.Random(3)
    numbers = load_words(Store(random.Random(4)).links)
    dut = Store(rng)
    image = words_of(image_of_words(MARK, numbers))

    async def testbench(ctx: Any) -> None:
        for length in range(1, len(image)):
            await _send(ctx, dut, rng, image[:length], 0.3)
            assert await _settle(ctx, dut) == Status.LOADING and ctx.get(dut.hold), f"{length} words"
        await _send(ctx, dut, rng, image, 0.3)
        await _send(ctx, dut, rng, image[1:], 0.3, mark=False)  # what is too much goes nowhere
        assert await _settle(ctx, dut) == Status.READY
        assert dut.contents(ctx) == numbers

    _simulate(dut, testbench)
