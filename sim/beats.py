"""From input codes to the beats that a design takes, and from recorded beats back to numbers. Vectorised."""

import numpy as np

from hw.manifest import InputPort, PayloadField
from sim.harness import Tap

__all__ = ["FIRST_OF_SAMPLE", "input_beats", "tap_values", "unpack"]

#: Marks, in the beats handed to the simulator, the first of each sample.
FIRST_OF_SAMPLE = np.uint32(1 << 31)


def input_beats(port: InputPort, codes: np.ndarray) -> np.ndarray:
    """The event beats of samples: non-zero codes in increasing index, each input vector ended by a marker.

    Parameters
    ----------
    port : InputPort
        Of the design; its fields say where index, value and marker lie in a beat.
    codes : (samples, features) or (samples, steps, features) uint8

    Returns
    -------
    (beats,) uint32
        Payloads, with :data:`FIRST_OF_SAMPLE` set in the first beat of every sample.
    """
    offsets = {field.signal: np.uint32(field.offset) for field in port.fields}
    vectors = codes.reshape(-1, port.features)
    rows, indices = np.nonzero(vectors)
    # An event has as many beats before it as events, and a marker for every vector that is complete.
    places = np.arange(len(rows)) + rows
    beats = np.full(len(rows) + len(vectors), 1 << offsets["last"], np.uint32)
    values = vectors[rows, indices].astype(np.uint32)
    beats[places] = (indices.astype(np.uint32) << offsets["index"]) | (values << offsets["value"])
    counts = np.count_nonzero(vectors, axis=1) + 1
    vector_starts = np.cumsum(counts) - counts
    beats[vector_starts[:: port.markers]] |= FIRST_OF_SAMPLE
    return beats


def unpack(words: np.ndarray, field: PayloadField) -> np.ndarray:
    """The elements of a field in each beat.

    Parameters
    ----------
    words : (beats, words) uint64
        Payloads, the least significant word first.
    field : PayloadField

    Returns
    -------
    (beats, lanes) int64
    """
    first_bits = field.offset + field.stride * np.arange(field.lanes)
    places, shifts = first_bits // 64, (first_bits % 64).astype(np.uint64)
    following = np.pad(words, ((0, 0), (0, 1)))[:, places + 1]
    # Two shifts, since one by 64 is undefined. The sign comes with the arithmetic shift back.
    bits = (words[:, places] >> shifts) | ((following << (np.uint64(63) - shifts)) << np.uint64(1))
    unused = 64 - field.width
    if field.signed:
        return (bits << np.uint64(unused)).view(np.int64) >> np.int64(unused)
    return ((bits << np.uint64(unused)) >> np.uint64(unused)).view(np.int64)


def tap_values(tap: Tap, words: np.ndarray) -> dict[str, np.ndarray]:
    """The signals of a tap, (sets, neurons) int64 each, from all complete sets among the recorded words (uint64)."""
    sets = len(words) // (tap.words * tap.beats)
    beats = words[: sets * tap.beats * tap.words].reshape(-1, tap.words)
    return {
        field.signal: unpack(beats, field).reshape(sets, tap.beats * field.lanes)[:, : field.neurons]
        for field in tap.fields
    }
