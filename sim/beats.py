"""From input codes to the beats that a design takes, and from recorded beats back to numbers. Vectorised."""

import numpy as np

from hw.manifest import InputPort, PayloadField
from sim.harness import Tap

__all__ = ["FIRST_OF_SAMPLE", "beat_words", "input_beats", "tap_values", "unpack"]

#: Bits of a beat in each 64-bit word: one is left for the mark, and a negative word is a pause.
BEAT_BITS = 63
#: Marks, in the beats handed to the simulator, the first of each sample.
FIRST_OF_SAMPLE = np.uint64(1 << 63)


def input_beats(port: InputPort, codes: np.ndarray) -> np.ndarray:
    """What a design takes for samples: events, or, of a fully spatial one, whole input vectors.

    Events are of the non-zero codes in increasing index, each input vector ended by a marker.

    Parameters
    ----------
    port : InputPort
        Of the design; its fields say where index, value and marker lie in a beat.
    codes : (samples, features) or (samples, steps, features) uint8

    Returns
    -------
    (words,) uint64
        Payloads, ``BEAT_BITS`` bits in a word, the least significant ones first; :data:`FIRST_OF_SAMPLE` is set in
        the first word of every sample.
    """
    return _vectors(port, codes) if port.dense else _events(port, codes)


def beat_words(width: int) -> int:
    """Words that an input beat of so many bits is handed over in."""
    return -(-width // BEAT_BITS)


def _vectors(port: InputPort, codes: np.ndarray) -> np.ndarray:
    (x,), words = port.fields, beat_words(port.width)
    vectors = codes.reshape(-1, port.features)
    bits = (vectors[:, :, None] >> np.arange(x.width, dtype=np.uint8)) & 1
    padded = np.zeros((len(vectors), words * BEAT_BITS), np.uint8)
    padded[:, : port.width] = bits.reshape(len(vectors), port.width)
    pieces = np.pad(padded.reshape(-1, words, BEAT_BITS), ((0, 0), (0, 0), (0, 64 - BEAT_BITS)))
    beats = np.packbits(pieces, axis=2, bitorder="little").view("<u8")[:, :, 0].astype(np.uint64)
    beats[:: port.markers, 0] |= FIRST_OF_SAMPLE
    return beats.reshape(-1)


def _events(port: InputPort, codes: np.ndarray) -> np.ndarray:
    index, value, last = port.fields
    vectors = codes.reshape(-1, port.features)
    rows, inputs = np.nonzero(vectors)
    # Where several events come at once, each is of its own part of the inputs: of every lane-th one.
    places, lanes = np.divmod(inputs, index.lanes)
    counts = np.zeros((len(vectors), index.lanes), np.int64)
    np.add.at(counts, (rows, lanes), 1)
    lengths = counts.max(1, initial=0) + 1
    starts = np.cumsum(lengths) - lengths
    beats = np.zeros(lengths.sum(), np.uint64)
    beats[starts + lengths - 1] = 1 << last.offset
    for lane in range(index.lanes):
        own = lanes == lane
        before = np.cumsum(counts[:, lane]) - counts[:, lane]  # of the lane's events, in earlier vectors
        beat = starts[rows[own]] + np.arange(own.sum()) - before[rows[own]]
        codes_of = vectors[rows[own], inputs[own]].astype(np.uint64)
        beats[beat] |= places[own].astype(np.uint64) << np.uint64(index.offset + lane * index.stride)
        beats[beat] |= codes_of << np.uint64(value.offset + lane * value.stride)
    beats[starts[:: port.markers]] |= FIRST_OF_SAMPLE
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
    """The signals of a tap, (sets, neurons) int64 each, from all complete sets among the recorded words (uint64).

    Where parts of all sets of a sample come in a row, from those of all complete samples.
    """
    together = tap.sets if tap.rows > 1 else 1
    sets = len(words) // (tap.words * tap.beats * together) * together
    beats = words[: sets * tap.beats * tap.words].reshape(-1, tap.words)
    if tap.rows > 1:
        parts = beats.reshape(-1, tap.rows, tap.sets, tap.beats // tap.rows, tap.words)
        beats = parts.swapaxes(1, 2).reshape(-1, tap.words)
    return {
        field.signal: unpack(beats, field).reshape(sets, tap.beats * field.lanes)[:, : field.neurons]
        for field in tap.fields
    }
