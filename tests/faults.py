"""What can happen to a frame on its way: errors of every kind, from one generator."""

import random
from collections.abc import Callable, Mapping

__all__ = ["FAULTS", "spoil"]

#: Most bytes, or bits, that an error reaches.
_LONGEST = 8


def _cut(rng: random.Random, line: bytes) -> tuple[bytes, bytes, bytes]:
    """The line in three parts; the one in the middle is short, and not empty."""
    place = rng.randrange(len(line))
    end = place + rng.randrange(1, _LONGEST + 1)
    return line[:place], line[place:end], line[end:]


def _flip(rng: random.Random, line: bytes, other: bytes) -> bytes:
    spoilt = bytearray(line)
    for _ in range(rng.randrange(1, _LONGEST + 1)):
        spoilt[rng.randrange(len(line))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _drop(rng: random.Random, line: bytes, other: bytes) -> bytes:
    before, _, behind = _cut(rng, line)
    return before + behind


def _duplicate(rng: random.Random, line: bytes, other: bytes) -> bytes:
    before, part, behind = _cut(rng, line)
    return before + part + part + behind


def _truncate(rng: random.Random, line: bytes, other: bytes) -> bytes:
    place = rng.randrange(len(line))
    return line[:place] if rng.random() < 0.5 else line[place:]


def _interleave(rng: random.Random, line: bytes, other: bytes) -> bytes:
    mixed, lines = b"", [line, other]
    while any(lines):
        k, size = rng.randrange(2), rng.randrange(1, 2 * _LONGEST)
        mixed, lines[k] = mixed + lines[k][:size], lines[k][size:]
    return mixed


def _noise(rng: random.Random, line: bytes, other: bytes) -> bytes:
    before, _, behind = _cut(rng, line)
    return before + rng.randbytes(rng.randrange(1, _LONGEST + 1)) + behind


#: Kind of error -> what it makes of a frame's line; ``other`` is another frame's.
FAULTS: Mapping[str, Callable[[random.Random, bytes, bytes], bytes]] = {
    "flip": _flip,
    "drop": _drop,
    "duplicate": _duplicate,
    "truncate": _truncate,
    "interleave": _interleave,
    "noise": _noise,
}


def spoil(rng: random.Random, line: bytes) -> bytes:
    """The line with an error of any kind."""
    return rng.choice(list(FAULTS.values()))(rng, line, line)
