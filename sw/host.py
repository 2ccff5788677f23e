"""A host's end of a serial port with a board behind it (docs/board.md): samples to results, whatever the line does."""

import random
import time
from collections import deque
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import serial
from serial.tools.list_ports import comports

from hw.protocol import (
    ANSWER,
    BAUD,
    DESIGN_BYTES,
    OVERHEAD,
    VERSION,
    Counters,
    Frame,
    FrameDecoder,
    Greeting,
    Message,
    Refusal,
    Result,
    pack_codes,
)
from hw.rtl import network_sha256
from quant.errors import ChandelierError
from quant.network import IntegerNetwork

__all__ = ["Board", "Port", "check_codes", "check_design", "open_board"]

#: Seconds that a read waits for a byte.
_READING = 0.05
#: Bytes that are written at a time: each has to be taken within the time that an answer may take.
_WRITTEN = 256
#: How often a request is sent before its answer is given up, and how often in a row there may be no answer to any.
_SENDINGS, _SILENCES = 20, 6
#: Bits of a byte on the line.
_BITS = 10


class Port(Protocol):
    """What is used of ``serial.Serial``; reading ends after a short while, with what has come."""

    @property
    def in_waiting(self) -> int:
        """Bytes that have come."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes."""

    def write(self, line: bytes, /) -> int | None:
        """Sends all of ``line``."""


@dataclass
class _Request:
    """The ``index``-th of a number of requests, which has been sent ``sendings`` times."""

    index: int
    frame: Frame
    sendings: int = 0


def check_design(greeting: Greeting, network: IntegerNetwork, where: str) -> None:
    """Refuses what holds another network; ``where`` is how messages call it.

    Raises
    ------
    ChandelierError
        If it does.
    """
    design, expected = greeting.design.hex(), network_sha256(network)[: 2 * DESIGN_BYTES]
    if design != expected:
        raise ChandelierError(
            f"{where} holds another network ({design}, {greeting.features} features, {greeting.classes} classes) than "
            f"{network.name} ({expected}): load the bitstream of that one"
        )


def check_codes(greeting: Greeting, codes: np.ndarray, where: str) -> None:
    """Refuses codes of samples that are not what a board takes.

    Raises
    ------
    ChandelierError
        If their type, shape or range is another one.
    """
    vectors = codes.reshape(len(codes), -1, codes.shape[-1]).shape[1:]
    if codes.dtype != np.uint8 or vectors != (greeting.vectors, greeting.features):
        raise ChandelierError(
            f"{where} takes uint8 codes of {greeting.vectors} x {greeting.features} a sample, not {codes.dtype} of "
            f"{codes.shape[1:]}"
        )
    if codes.size and int(codes.max()) >> greeting.bits:
        raise ChandelierError(f"{where} takes codes of {greeting.bits} bits, not {codes.max()}")


class Board:
    """A board that has answered ``PING``; ``greeting`` is what it said that it is.

    Every request is sent until there is an answer with its type and sequence number and a right CRC, so that an error
    of the line costs time and nothing else. A board answers in the order of requests: those before one that is answered
    were lost if they are not answered by then, and are sent again at once.

    Parameters
    ----------
    port : Port
    name : str
        How messages call it.
    baud : int
        Bits a second of the line.
    patience : float
        Seconds without any answer, beside those that requests take on the line, after which they are sent again.

    Raises
    ------
    ChandelierError
        From every method: if the port fails, nothing answers, or what answers is no board of this version.
    """

    def __init__(self, port: Port, name: str, *, baud: int = BAUD, patience: float = 1.0) -> None:
        self._port, self._name, self._baud, self._patience = port, name, baud, patience
        self._decoder, self._sequence, self._window = FrameDecoder(), random.randrange(256), 1
        self._unanswering = 0  # bytes that have come since the last answer
        #: Requests that were sent more than once, as often as they were.
        self.repeated = 0
        # The answer to this comes after all that an earlier host may have left under way.
        self.greeting = self._greet()
        self._sequence, self._window = random.randrange(256), self.greeting.window

    def _greet(self) -> Greeting:
        (payload,) = self._exchange(Message.PING, [b""])
        if payload[:1] != bytes([VERSION]):
            raise ChandelierError(
                f"the board on {self._name} speaks version {payload[0] if payload else '?'} of the protocol, and this "
                f"Chandelier version {VERSION}: make its bitstream again"
            )
        with self._well_formed():
            return Greeting.unpack(payload)

    def check(self, network: IntegerNetwork) -> None:
        """Refuses a board that holds another network.

        Raises
        ------
        ChandelierError
            If it does.
        """
        check_design(self.greeting, network, f"the board on {self._name}")

    def infer(self, codes: np.ndarray) -> Iterator[tuple[int, Result]]:
        """Number and result of each sample, in the order in which they come: as many are under way as have room.

        Parameters
        ----------
        codes : (samples, features) or (samples, steps, features) uint8

        Raises
        ------
        ChandelierError
            If they are not what the board takes, too.
        """
        board = self.greeting
        check_codes(board, codes, f"the board on {self._name}")
        payloads = (payload.tobytes() for payload in pack_codes(codes, board.bits))
        for index, payload in self._exchange_all(Message.SAMPLE, payloads):
            with self._well_formed():
                result = Result.unpack(payload, board.logit_bytes)
                if len(result.logits) != board.classes:
                    raise ValueError(f"a result has {board.classes} logits, not {len(result.logits)}")
            yield index, result

    def counters(self) -> Counters:
        """What has been counted since the last reset."""
        with self._well_formed():
            return Counters.unpack(*self._exchange(Message.COUNTERS, [b""]))

    def reset(self) -> None:
        """Sets the counters to zero, and the fault LED off."""
        self._exchange(Message.RESET, [b""])

    def _exchange(self, kind: Message, payloads: Iterable[bytes]) -> list[bytes]:
        return [payload for _, payload in sorted(self._exchange_all(kind, payloads))]

    def _exchange_all(self, kind: Message, payloads: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """Number and payload of each answer."""
        waiting: dict[int, _Request] = {}  # by sequence number, in the order in which they were sent last
        fresh = (_Request(index, Frame(kind, self._next(waiting), payload)) for index, payload in enumerate(payloads))
        again: deque[_Request] = deque()
        silences, heard = 0, time.monotonic()
        while True:
            while len(waiting) < self._window:
                request = again.popleft() if again else next(fresh, None)
                if request is None:
                    break
                self._send(request)
                waiting[request.frame.sequence] = request
            if not waiting:
                return
            for frame in self._receive():
                answered = self._answered(frame, waiting)
                if answered is not None:
                    again.extend(_sent_before(answered, waiting))
                    yield answered.index, frame.payload
                    silences, heard, self._unanswering = 0, time.monotonic(), 0
            on_the_line = sum(len(request.frame.payload) + OVERHEAD for request in waiting.values())
            if time.monotonic() - heard > self._patience + on_the_line * _BITS / self._baud:
                silences, heard = silences + 1, time.monotonic()
                if silences == _SILENCES:
                    raise ChandelierError(self._silence())
                again.extend(waiting.values())
                waiting.clear()

    def _next(self, taken: Container[int]) -> int:
        """A sequence number that has not been used for longest."""
        self._sequence = (self._sequence + 1) % 256
        return self._next(taken) if self._sequence in taken else self._sequence

    def _send(self, request: _Request) -> None:
        if request.sendings == _SENDINGS:
            raise ChandelierError(
                f"the board on {self._name} answers others, but not a request that was sent {_SENDINGS} times: is its "
                "line as bad as that?"
            )
        self.repeated += request.sendings > 0
        request.sendings += 1
        line = request.frame.encode()
        with self._talking():
            for start in range(0, len(line), _WRITTEN):
                self._port.write(line[start : start + _WRITTEN])

    def _receive(self) -> Iterator[Frame]:
        with self._talking():
            received = self._port.read(max(1, self._port.in_waiting))
        self._unanswering += len(received)
        yield from self._decoder.feed(received)

    def _answered(self, frame: Frame, waiting: dict[int, _Request]) -> _Request | None:
        """The request that a frame answers, if any does."""
        request = waiting.get(frame.sequence)
        if request is None or frame.kind not in (ANSWER | request.frame.kind, Message.REFUSED):
            return None
        if frame.kind == Message.REFUSED:
            why = frame.payload[0] if frame.payload else 0
            said = Refusal(why).name.lower().replace("_", " ") if why in set(Refusal) else f"code {why}"
            raise ChandelierError(f"the board on {self._name} refuses a request ({said}): make its bitstream again")
        return request

    def _silence(self) -> str:
        """Why there may be no answer."""
        if self._unanswering:
            return (
                f"what answers on {self._name} is no board of Chandelier ({self._unanswering} bytes without meaning): "
                "check the bitstream, and --baud"
            )
        return f"nothing answers on {self._name}: check the port, the bitstream, and --baud"

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # what all errors of serial ports are
            raise ChandelierError(f"the port {self._name} fails: {error.strerror or error}") from None

    @contextmanager
    def _well_formed(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ChandelierError(
                f"the board on {self._name} sends what no board does ({error}): make its bitstream again"
            ) from None


def _sent_before(answered: _Request, waiting: dict[int, _Request]) -> Iterator[_Request]:
    """Takes the request that was answered from those that wait, and yields those before it, which were lost."""
    for sequence, request in list(waiting.items()):
        del waiting[sequence]
        if request is answered:
            return
        yield request


@contextmanager
def open_board(path: str, baud: int = BAUD) -> Iterator[Board]:
    """The board behind a serial port like ``/dev/ttyUSB0``, which is nobody else's as long.

    Raises
    ------
    ChandelierError
        If there is no such port, it is in use, or no board of Chandelier answers.
    """
    try:
        port = serial.Serial(path, baud, timeout=_READING, write_timeout=5.0, exclusive=True)
    except (OSError, ValueError) as error:  # a baud rate that there is not
        raise ChandelierError(_no_port(path, error)) from None
    with port:
        port.reset_input_buffer()
        yield Board(port, path, baud=baud)


def _no_port(path: str, error: Exception) -> str:
    """Why a port does not open."""
    if isinstance(error, FileNotFoundError) or getattr(error, "errno", None) == 2:
        ports = ", ".join(port.device for port in comports())
        return f"there is no serial port {path}: {f'there are {ports}' if ports else 'there is none at all'}"
    if getattr(error, "errno", None) == 13:
        return f"no permission to open {path}: become a member of the group that it belongs to, or ask for it"
    if getattr(error, "errno", None) == 11:
        return f"{path} is in use by another program"
    return f"cannot open {path}: {error}"
