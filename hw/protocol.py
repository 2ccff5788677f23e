"""The frames that a host and a board exchange (docs/board.md): numbers, encoding and decoding in plain Python."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np

from hw.manifest import InputPort, Manifest

__all__ = [
    "ANSWER",
    "BAUD",
    "DESIGN_BYTES",
    "END",
    "ESCAPE",
    "ESCAPED_END",
    "ESCAPED_ESCAPE",
    "OVERHEAD",
    "VERSION",
    "Counters",
    "Frame",
    "FrameDecoder",
    "Greeting",
    "Message",
    "Refusal",
    "Result",
    "code_bits",
    "pack_codes",
    "sample_bytes",
]

#: Version of the protocol; both sides have to have the same.
VERSION = 1
#: Bits a second of a board's line, if nobody says otherwise.
BAUD = 1_000_000
#: The bytes of RFC 1055 (SLIP): a frame begins and ends with END; ESCAPE and another stand for these two inside it.
END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE = 0xC0, 0xDB, 0xDC, 0xDD
#: Bytes of a frame beside its payload, END and escapes not counted: type, sequence number, length, CRC.
OVERHEAD = 8
#: Bytes of the network's SHA-256 by which a design is known.
DESIGN_BYTES = 8
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
    LOAD = 5  #: reserved: another network without another bitstream
    REFUSED = 0xFF


class Refusal(IntEnum):
    """What the payload of ``REFUSED`` says."""

    UNKNOWN_TYPE = 1
    WRONG_LENGTH = 2


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
    """The answer to ``PING``: what the design is.

    Parameters
    ----------
    version : int
        Of the protocol.
    window : int
        Requests that may be under way at a time.
    design : bytes
        The first ``DESIGN_BYTES`` of the SHA-256 of the network's file.
    features, bits : int
        Of an input vector.
    vectors : int
        Input vectors of a sample: 1, or the time steps of a sequence.
    classes : int
    logit_bytes : int
        Of each logit in a result, where it is signed.
    """

    version: int
    window: int
    design: bytes
    features: int
    bits: int
    vectors: int
    classes: int
    logit_bytes: int

    _LAYOUT = struct.Struct(f"<BB{DESIGN_BYTES}sIBIIB")

    @classmethod
    def of(cls, manifest: Manifest, window: int) -> Self:
        """What a design of that manifest says."""
        port, output = manifest.input, manifest.output
        (logits,) = (field for field in output.fields if field.signal == "logits")
        design = bytes.fromhex(manifest.network_sha256)[:DESIGN_BYTES]
        logit_bytes = -(-(logits.width + (not logits.signed)) // 8)
        return cls(VERSION, window, design, port.features, port.bits, port.markers, output.classes, logit_bytes)

    def pack(self) -> bytes:
        """The payload."""
        numbers = (self.features, self.bits, self.vectors, self.classes, self.logit_bytes)
        return self._LAYOUT.pack(self.version, self.window, self.design, *numbers)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Of a payload; ``ValueError`` if it is of another length, or no design is like that."""
        if len(payload) != cls._LAYOUT.size:
            raise ValueError(f"a greeting has {cls._LAYOUT.size} bytes, not {len(payload)}")
        said = cls(*cls._LAYOUT.unpack(payload))
        least = min(said.window, said.features, said.bits, said.vectors, said.classes, said.logit_bytes)
        if not least or said.bits > 8:
            raise ValueError(f"a design is never {said}")
        return said


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
