"""Shadow registers: values that come all at once, and leave one word after another."""

from amaranth import Cat, Const, Module, Mux, Signal, Value

from hw.packing import ceil_div

__all__ = ["shadow"]

#: Bits that share a copy of what moves them. More are too far apart on a chip; with fewer there are too many kinds of
#: flip-flops, which cannot share a block of the device, and placement takes many times as long.
BLOCK = 512


def shadow(
    m: Module, source: Value, *, width: int, words: int, load: Value, shift: Value, rotate: bool = False
) -> Value:
    """The first of ``words`` words of ``width`` bits, which ``source`` is taken into, and which then move up.

    Parameters
    ----------
    m : Module
        Gets the registers.
    source : Value
        Up to ``words * width`` bits; zeros fill up the rest.
    load, shift : Value
        Whether the words are taken, or else move up, in the *next* cycle: each block of registers has its own copies.
        In the first cycle after a reset they are taken.
    rotate : bool
        Whether a word that has left comes in again behind the last one.
    """
    held = Signal(width * words, reset_less=True)
    filled = Cat(source, Const(0, len(held) - len(source)))
    moved = Cat(held[width:], held[:width] if rotate else Const(0, width))
    for block in range(ceil_div(len(held), BLOCK)):
        bits = slice(block * BLOCK, (block + 1) * BLOCK)
        # What enables a flip-flop comes from a register of its own: the way to all of a block takes most of a cycle.
        loads, moves = (Signal(init=1, name=name, attrs={"keep": 1}) for name in ("load", "move"))
        m.d.sync += [loads.eq(load), moves.eq(load | shift)]
        with m.If(moves):
            m.d.sync += held[bits].eq(Mux(loads, filled[bits], moved[bits]))
    return held[:width]
