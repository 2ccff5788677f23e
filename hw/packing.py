"""How numbers are laid out in memory words: lanes side by side, the first in the least significant bits."""

from collections.abc import Iterable

import numpy as np

__all__ = ["ceil_div", "pack_rows"]


def ceil_div(a: int, b: int) -> int:
    """``a / b`` rounded up."""
    return -(-a // b)


def pack_rows(rows: np.ndarray, lanes: int, bits: int) -> list[int]:
    """The words of a table: each row cut into ``ceil(columns / lanes)`` words, one after the other.

    Parameters
    ----------
    rows : (rows, columns) unsigned codes of ``bits`` bits
    lanes : int
        Codes in a word. The last word of a row is filled up with zeros.
    """
    filled = np.pad(rows, ((0, 0), (0, -rows.shape[1] % lanes)))
    return [_pack(word.tolist(), bits) for word in filled.reshape(-1, lanes)]


def _pack(codes: Iterable[int], bits: int) -> int:
    return sum(code << (lane * bits) for lane, code in enumerate(codes))
