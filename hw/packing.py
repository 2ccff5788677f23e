"""How numbers are laid out in memory words: lanes side by side, the first in the least significant bits."""

import numpy as np
from amaranth import unsigned
from amaranth.lib import data
from amaranth.lib.memory import Memory

__all__ = ["ceil_div", "packed_memory"]


def ceil_div(a: int, b: int) -> int:
    """``a / b`` rounded up."""
    return -(-a // b)


def _pack(codes: list[int], bits: int) -> int:
    return sum(code << (lane * bits) for lane, code in enumerate(codes))


def packed_memory(rows: np.ndarray, lanes: int, bits: int) -> Memory:
    """A memory of words of ``lanes`` codes that holds a table: each row begins a word, and fills whole words.

    Parameters
    ----------
    rows : (rows, columns) unsigned codes of ``bits`` bits
        A row takes ``ceil(columns / lanes)`` words; zeros fill up its last one.
    """
    filled = np.pad(rows, ((0, 0), (0, -rows.shape[1] % lanes)))
    layout = data.ArrayLayout(unsigned(bits), lanes)
    words = [layout.from_bits(_pack(word.tolist(), bits)) for word in filled.reshape(-1, lanes)]
    return Memory(shape=layout, depth=max(2, len(words)), init=words)  # the address has a bit at least
