"""Loadable numbers: memories and registers in a chain, each of which takes its words, and hands on the rest."""

from collections.abc import Sequence
from typing import Any

from amaranth import Cat, Const, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.layouts import index_of
from hw.packing import ceil_div

__all__ = ["CHAIN", "WORD", "Register", "chain_links", "chain_load", "load_ports", "load_words", "value_of"]

#: Bits of a word of the chain.
WORD = 32
#: ``start``: all numbers are to be filled anew, the first one with the next valid ``word``. None of them ever waits.
CHAIN = wiring.Signature({"start": Out(1), "valid": Out(1), "word": Out(WORD)})


class Register:
    """An unsigned number of so many bits that stands in a register, ``init`` at first. Resets leave it alone."""

    def __init__(self, init: int, bits: int) -> None:
        self.init = init
        self.value = Signal(bits, init=init, reset_less=True)


def value_of(number: int | Register) -> Any:
    """The number, or what its register holds."""
    return number.value if isinstance(number, Register) else number


#: What is filled: a memory, a register, or a component with ``links``, and so with the ports ``load_ports``.
Link = Any


def load_ports(links: Sequence[Link]) -> dict[str, Any]:
    """The ports of a component that holds loadable numbers; none if it does not."""
    return {"load": In(CHAIN), "loaded": Out(CHAIN)} if links else {}


def load_words(links: Sequence[Link]) -> list[int]:
    """The words that fill these with what they hold at first: each number, or memory word, in words of its own."""
    words: list[int] = []
    for link in links:
        if isinstance(link, Register | Memory):
            width, numbers = _width(link), _numbers(link)
            words += [number >> WORD * k & (1 << WORD) - 1 for number in numbers for k in range(ceil_div(width, WORD))]
        else:
            words += load_words(link.links)
    return words


def _numbers(link: Register | Memory) -> list[int]:
    if isinstance(link, Register):
        return [link.init]
    contents: Any = link.init
    return [Const.cast(Const(element, link.shape)).value for element in contents]


def _width(link: Register | Memory) -> int:
    return len(link.value) if isinstance(link, Register) else Shape.cast(link.shape).width


def chain_links(m: Module, whole: Any) -> None:
    """Puts the chain of a component through its ``links``, if it has any, into its module."""
    if whole.links:
        chain_load(m, wiring.flipped(whole.load), whole.links, wiring.flipped(whole.loaded))


def chain_load(m: Module, source: Any, links: Sequence[Link], sink: Any) -> None:
    """Puts a chain through ``links`` into ``m``, from ``source`` to ``sink``. Components are its submodules already."""
    for number, link in enumerate(links):
        part = link
        if isinstance(link, Register | Memory):
            m.submodules[f"writer{number}"] = part = _Writer(
                depth=1 if isinstance(link, Register) else link.depth, width=_width(link)
            )
        if isinstance(link, Register):
            with m.If(part.en):
                m.d.sync += link.value.eq(part.data)
        elif isinstance(link, Memory):
            port: Any = link.write_port()
            m.d.comb += [port.addr.eq(part.addr), port.en.eq(part.en), port.data.as_value().eq(part.data)]
        wiring.connect(m, source, part.load)
        source = part.loaded
    wiring.connect(m, source, sink)


class _Writer(wiring.Component):
    """Makes ``depth`` memory words of ``width`` bits of the next words of the chain, least significant bits first.

    A memory word is written in the cycle after its last word has come; the rest of the chain is a cycle behind.
    """

    addr: Signal
    en: Signal
    data: Signal
    load: Any
    loaded: Any

    def __init__(self, *, depth: int, width: int) -> None:
        self._depth, self._parts = depth, ceil_div(width, WORD)
        super().__init__(
            {
                "load": In(CHAIN),
                "loaded": Out(CHAIN),
                "addr": Out(index_of(depth)),
                "en": Out(1),
                "data": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, row, full = Signal(index_of(self._parts)), Signal(index_of(self._depth)), Signal()
        held = Signal(self._parts * WORD, reset_less=True)
        mine, last_part, last_row = Signal(), part == self._parts - 1, row == self._depth - 1
        m.d.comb += [mine.eq(self.load.valid & ~full), self.data.eq(held)]
        m.d.sync += [
            self.en.eq(mine & last_part),
            self.addr.eq(row),
            self.loaded.start.eq(self.load.start),
            self.loaded.valid.eq(self.load.valid & full),
            self.loaded.word.eq(self.load.word),
        ]
        with m.If(mine):
            m.d.sync += [held.eq(Cat(held, self.load.word) >> WORD), part.eq(part + 1)]
            with m.If(last_part):
                m.d.sync += [part.eq(0), row.eq(row + 1), full.eq(last_row)]
        with m.If(self.load.start):
            m.d.sync += [part.eq(0), row.eq(0), full.eq(0)]
        return m
