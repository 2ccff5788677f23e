"""How numbers are laid out in memory words: lanes side by side, the first in the least significant bits."""

import numpy as np
from amaranth.lib import data
from amaranth.lib.memory import Memory

from hw.layouts import shape_of
from quant.formats import Format

__all__ = ["ceil_div", "packed_memory"]


def ceil_div(a: int, b: int) -> int:
    """``a / b`` rounded up."""
    return -(-a // b)


def _pack(codes: list[int], bits: int) -> int:
    return sum((code % (1 << bits)) << (lane * bits) for lane, code in enumerate(codes))


def packed_memory(rows: np.ndarray, lanes: int, code: Format) -> Memory:
    """A memory of words of ``lanes`` codes that holds a table: each row begins a word, and fills whole words.

    Parameters
    ----------
    rows : (rows, columns) codes of the format ``code``
        A row takes ``ceil(columns / lanes)`` words; zeros fill up its last one.
    """
    filled = np.pad(rows, ((0, 0), (0, -rows.shape[1] % lanes)))
    layout = data.ArrayLayout(shape_of(code), lanes)
    words = [layout.from_bits(_pack(word.tolist(), code.width)) for word in filled.reshape(-1, lanes)]
    return Memory(shape=layout, depth=max(2, len(words)), init=words)  # the address has a bit at least
