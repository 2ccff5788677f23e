"""The frames that a host and a board exchange (docs/board.md): numbers, encoding and decoding in plain Python."""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

import numpy as np

from hw.loader import Status
from hw.manifest import InputPort, Manifest

__all__ = [
    "ANSWER",
    "BAUD",
    "END",
    "ESCAPE",
    "ESCAPED_END",
    "ESCAPED_ESCAPE",
    "LONGEST_PAYLOAD",
    "NETWORK_BYTES",
    "OVERHEAD",
    "PIECE_WORDS",
    "VERSION",
    "Counters",
    "Frame",
    "FrameDecoder",
    "Greeting",
    "Loaded",
    "Message",
    "Piece",
    "Refusal",
    "Result",
    "code_bits",
    "pack_codes",
    "sample_bytes",
    "without_zeros",
]

#: Version of the protocol; both sides have to have the same.
VERSION = 2
#: Bits a second of a board's line, if nobody says otherwise.
BAUD = 1_000_000
#: The bytes of RFC 1055 (SLIP): a frame begins and ends with END; ESCAPE and another stand for these two inside it.
END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE = 0xC0, 0xDB, 0xDC, 0xDD
#: Bytes of a frame beside its payload, END and escapes not counted: type, sequence number, length, CRC.
OVERHEAD = 8
#: Most bytes of a payload: its length is a number of 16 bits.
LONGEST_PAYLOAD = (1 << 16) - 1
#: Bytes of the SHA-256 of its file by which a network is known.
NETWORK_BYTES = 8
#: Words of an image that a request has room for in any board with loadable weights: its payload has 256 bytes then.
PIECE_WORDS = 61
#: What an answer adds to the type of its request.
ANSWER = 0x80
_HEADER = struct.Struct("<BBH")
_CRC = struct.Struct("<I")


class Message(IntEnum):
    """Types of requests, and of the one answer that belongs to none of them."""

    PING = 1
    SAMPLE = 2
    COUNTERS = 3
    RESET = 4
    LOAD = 5  #: a piece of an image
    SPARSE = 6  #: a sample without its zeros
    DESCRIBE = 7  #: the manifest of a design with loadable weights
    REFUSED = 0xFF


class Refusal(IntEnum):
    """What the payload of ``REFUSED`` says."""

    UNKNOWN_TYPE = 1
    WRONG_LENGTH = 2
    NO_NETWORK = 3  #: a load is under way, broke off or was refused


@dataclass(frozen=True)
class Frame:
    """``kind`` and ``sequence`` are 0..255."""

    kind: int
    sequence: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """The frame as it goes over the line.

        >>> Frame(Message.PING, 7).encode().hex(" ")
        'c0 01 07 00 00 fc ae b7 9c c0'
        """
        body = _HEADER.pack(self.kind, self.sequence, len(self.payload)) + self.payload
        body += _CRC.pack(zlib.crc32(body))
        escaped = body.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPED_ESCAPE]))
        return bytes([END]) + escaped.replace(bytes([END]), bytes([ESCAPE, ESCAPED_END])) + bytes([END])


class FrameDecoder:
    """Finds the good frames in what comes over a line; everything else is dropped, and counted in ``bad``."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self.bad = 0

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that end in ``received``."""
        *ended, rest = received.split(bytes([END]))
        for part in ended:
            self._begun += part
            body, self._begun = bytes(self._begun), bytearray()
            frame = _decode(body)
            if frame is not None:
                yield frame
            else:
                self.bad += bool(body)
        self._begun += rest


def _decode(escaped: bytes) -> Frame | None:
    """The frame between two END; ``None`` where it is not good."""
    first, *others = escaped.split(bytes([ESCAPE]))
    stands_for = {ESCAPED_END: END, ESCAPED_ESCAPE: ESCAPE}
    if any(not part or part[0] not in stands_for for part in others):
        return None
    body = first + b"".join(bytes([stands_for[part[0]]]) + part[1:] for part in others)
    if len(body) < OVERHEAD or zlib.crc32(body[:-4]) != _CRC.unpack(body[-4:])[0]:
        return None
    kind, sequence, length = _HEADER.unpack(body[:4])
    payload = body[4:-4]
    return Frame(kind, sequence, payload) if length == len(payload) else None


@dataclass(frozen=True)
class Greeting:
    """The answer to ``PING``: what the design is, and what it holds.

    Parameters
    ----------
    version : int
        Of the protocol.
    window : int
        Requests that may be under way at a time.
    network : bytes
        The first ``NETWORK_BYTES`` of the SHA-256 of the file of the network that is held, or of the one of which a
        part has come.
    features, bits : int
        Of an input vector.
    vectors : int
        Input vectors of a sample: 1, or the time steps of a sequence.
    classes : int
    logit_bytes : int
        Of each logit in a result, where it is signed.
    image_words : int
        Of an image that can be loaded; 0 where the weights are fixed.
    status : Status
        Samples are taken in ``READY``.
    """

    version: int
    window: int
    network: bytes
    features: int
    bits: int
    vectors: int
    classes: int
    logit_bytes: int
    image_words: int
    status: Status

    _LAYOUT = struct.Struct(f"<BB{NETWORK_BYTES}sIBIIBIB")
    #: Bytes before the network; the status is the last one.
    NETWORK_PLACE = 2

    @classmethod
    def of(cls, manifest: Manifest, window: int) -> Self:
        """What a design of that manifest says at first."""
        port, output = manifest.input, manifest.output
        (logits,) = (field for field in output.fields if field.signal == "logits")
        network = bytes.fromhex(manifest.network_sha256)[:NETWORK_BYTES]
        return cls(
            version=VERSION,
            window=window,
            network=network,
            features=port.features,
            bits=port.bits,
            vectors=port.markers,
            classes=output.classes,
            logit_bytes=-(-(logits.width + (not logits.signed)) // 8),
            image_words=manifest.load.image_words if manifest.load else 0,
            status=Status.READY,
        )

    def pack(self) -> bytes:
        """The payload."""
        return self._LAYOUT.pack(*vars(self).values())

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Of a payload; ``ValueError`` if it is of another length, its status is none, or no design is like that."""
        if len(payload) != cls._LAYOUT.size:
            raise ValueError(f"a greeting has {cls._LAYOUT.size} bytes, not {len(payload)}")
        said = cls(*cls._LAYOUT.unpack(payload))
        least = min(said.window, said.features, said.bits, said.vectors, said.classes, said.logit_bytes)
        if not least or said.bits > 8 or not said._has_room():
            raise ValueError(f"a design is never {said}")
        return replace(said, status=Status(said.status))

    def _has_room(self) -> bool:
        """Whether frames have room for its samples and results."""
        sample = self.vectors * _vector_bytes(self.features, self.bits)
        return max(sample, self.classes * self.logit_bytes) <= LONGEST_PAYLOAD


@dataclass(frozen=True)
class Piece:
    """The payload of ``LOAD``: some words of an image, from the ``place``-th on, as bytes.

    ``network`` is as in ``Greeting``: pieces of other networks, and of other places than the next, are not taken.
    """

    network: bytes
    place: int
    words: bytes

    def pack(self) -> bytes:
        """The payload."""
        return self.network + self.place.to_bytes(4, "little") + self.words


@dataclass(frozen=True)
class Loaded:
    """The answer to ``LOAD``: ``wanted`` is the place of the word of its network's image that has to come next.

    That is 0 if nothing of this image is there, and the number of its words if it is there as a whole.
    """

    status: Status
    wanted: int

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Of a payload; ``ValueError`` if it is of another length, or its status is none."""
        if len(payload) != 5:
            raise ValueError(f"an answer to a piece has 5 bytes, not {len(payload)}")
        return cls(Status(payload[0]), int.from_bytes(payload[1:], "little"))


@dataclass(frozen=True)
class Result:
    """The answer to ``SAMPLE``: ``cycles`` from taking the sample out of its buffer to its result."""

    predicted: int
    cycles: int
    logits: tuple[int, ...]

    @classmethod
    def unpack(cls, payload: bytes, logit_bytes: int) -> Self:
        """Of a payload; ``ValueError`` if it is no whole number of logits."""
        head, logits = payload[:6], payload[6:]
        if len(head) < 6 or len(logits) % logit_bytes:
            raise ValueError(f"a result has 6 bytes and {logit_bytes} for each logit, not {len(payload)}")
        values = (logits[k : k + logit_bytes] for k in range(0, len(logits), logit_bytes))
        predicted, cycles = struct.unpack("<HI", head)
        return cls(predicted, cycles, tuple(int.from_bytes(v, "little", signed=True) for v in values))


@dataclass(frozen=True)
class Counters:
    """The answer to ``COUNTERS``: since the last ``RESET``, each modulo 2**32.

    Parameters
    ----------
    good, bad : int
        Frames that were right, this request's included, and that were not.
    lost : int
        Good frames for which there was no room, as more than ``window`` were under way.
    samples : int
        Results sent.
    """

    good: int
    bad: int
    lost: int
    samples: int

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Of a payload; ``ValueError`` if it is of another length."""
        if len(payload) != 16:
            raise ValueError(f"counters have 16 bytes, not {len(payload)}")
        return cls(*struct.unpack("<4I", payload))


def code_bits(bits: int) -> int:
    """Bits that a code takes in a sample's payload: 1, 2, 4 or 8, the least that hold it."""
    return 1 << (bits - 1).bit_length()


def _vector_bytes(features: int, bits: int, unit: int = 1) -> int:
    return unit * -(-features * code_bits(bits) // (8 * unit))


def sample_bytes(port: InputPort) -> int:
    """Bytes of a sample's payload."""
    return port.markers * _vector_bytes(port.features, port.bits)


def pack_codes(codes: np.ndarray, bits: int, unit: int = 1) -> np.ndarray:
    """Payloads of samples: codes side by side, the first in the lowest bits; each vector begins with a unit.

    Parameters
    ----------
    codes : (samples, features) or (samples, steps, features) uint8
        Below ``2**bits``.
    bits : int, 1..8
    unit : int, >= 1
        Bytes: vectors are filled up with zeros to a whole number of them.

    Returns
    -------
    (samples, bytes) uint8
    """
    width, (samples, *_, features) = code_bits(bits), codes.shape
    vectors = codes.reshape(samples, -1, features)
    padded = np.zeros((*vectors.shape[:2], _vector_bytes(features, bits, unit) * (8 // width)), np.uint8)
    padded[..., :features] = vectors
    shifts = np.arange(0, 8, width, dtype=np.uint8)
    packed = (padded.reshape(samples, -1, 8 // width) << shifts).sum(-1, dtype=np.uint8)
    return np.ascontiguousarray(packed)


def without_zeros(payload: bytes) -> bytes:
    """The payload of ``SPARSE`` for that of ``SAMPLE``: a byte 0 and a number stand for one and as many bytes 0 more.

    What the sample ends with is left out if it is 0.

    >>> without_zeros(bytes([7, 0, 9, 0, 0, 0, 5, 0, 0])).hex(" ")
    '07 00 00 09 00 02 05'
    """
    return re.sub(rb"\0{1,256}", lambda run: bytes([0, len(run[0]) - 1]), payload.rstrip(b"\0"))
