"""A host's end of a serial port with a board behind it (docs/board.md): samples to results, whatever the line does."""

import random
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import serial
from serial.tools.list_ports import comports

from hw.load_image import load_image
from hw.loader import Status
from hw.manifest import Manifest
from hw.protocol import (
    ANSWER,
    BAUD,
    NETWORK_BYTES,
    OVERHEAD,
    PIECE_WORDS,
    VERSION,
    Counters,
    Frame,
    FrameDecoder,
    Greeting,
    Loaded,
    Message,
    Piece,
    Refusal,
    Result,
    pack_codes,
    without_zeros,
)
from hw.rtl import network_sha256
from quant.errors import ChandelierError
from quant.network import IntegerNetwork

__all__ = ["Board", "Port", "check_codes", "check_network", "open_board"]

#: Seconds that a read waits for a byte.
_READING = 0.05
#: Bytes that are written at a time: each has to be taken within the time that an answer may take.
_WRITTEN = 256
#: How often a request is sent before its answer is given up, and how often in a row there may be no answer to any.
_SENDINGS, _SILENCES = 20, 6
#: How often in a row pieces of an image are sent to their end without the board having more of it then.
_FUTILE = 3
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


def check_network(greeting: Greeting, network: IntegerNetwork, where: str, remedy: str) -> None:
    """Refuses what holds another network; ``where`` is how messages call it, and ``remedy`` what they say to do.

    Raises
    ------
    ChandelierError
        If it does.
    """
    if greeting.network != (expected := _mark(network)):
        raise ChandelierError(
            f"{where} holds another network ({greeting.network.hex()}, {greeting.features} features, "
            f"{greeting.classes} classes) than {network.name} ({expected.hex()}): {remedy}"
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
        self._manifest: Manifest | None = None
        self._unanswering = 0  # bytes that have come since the last answer
        #: Requests that were sent more than once, as often as they were.
        self.repeated = 0
        # The answer to this comes after all that an earlier host may have left under way.
        self.greeting = self._greet()
        self._sequence, self._window = random.randrange(256), self.greeting.window

    def _greet(self) -> Greeting:
        payload = self._exchange(Message.PING)
        if payload[:1] != bytes([VERSION]):
            raise ChandelierError(
                f"the board on {self._name} speaks version {payload[0] if payload else '?'} of the protocol, and this "
                f"Chandelier version {VERSION}: make its bitstream again"
            )
        with self._well_formed():
            return Greeting.unpack(payload)

    def check(self, network: IntegerNetwork) -> None:
        """Refuses a board that holds another network, or none.

        Raises
        ------
        ChandelierError
            If it does.
        """
        board = self.greeting
        if board.status != Status.READY:
            raise ChandelierError(
                f"the board on {self._name} holds no network, as a load broke off or was refused: load one with --load"
            )
        remedy = "load it with --load" if board.image_words else "load the bitstream of that one"
        check_network(board, network, f"the board on {self._name}", remedy)

    def holds(self, network: IntegerNetwork) -> bool:
        """Whether it is this network that the board computes."""
        return self.greeting.status == Status.READY and self.greeting.network == _mark(network)

    def describe(self) -> Manifest:
        """The manifest of the board's design, as far as images are made by it.

        Raises
        ------
        ChandelierError
            If the weights of the board's design are fixed, too.
        """
        if not self.greeting.image_words:
            raise ChandelierError(
                f"the weights of the board on {self._name} are fixed: make its bitstream with --weights loadable"
            )
        if self._manifest is None:
            description = self._exchange(Message.DESCRIBE)
            with self._well_formed():
                self._manifest = Manifest.of_description(description)
        return self._manifest

    def load(self, network: IntegerNetwork, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Makes the board compute ``network``. The one before is lost with the first piece that the board takes.

        If this breaks off, the board takes no samples until a network has been loaded as a whole; the same one goes on
        where it stopped.

        Parameters
        ----------
        progress : function of the words that the board has taken, and of those of the image

        Raises
        ------
        ChandelierError
            If its weights are fixed, or the network does not fit, too; then nothing has been loaded.
        """
        image = load_image(network, self.describe())
        words = len(image) // 4
        if words != self.greeting.image_words:
            raise ChandelierError(
                f"the board on {self._name} takes images of {self.greeting.image_words} words, and describes a design "
                f"with {words}: make its bitstream again"
            )
        wanted = futile = 0
        while wanted < words:
            begun = wanted
            for loaded in self._send_pieces(_mark(network), image, begun):
                wanted = loaded.wanted
                progress(wanted, words)
            futile = 0 if wanted > begun else futile + 1
            if futile == _FUTILE:
                raise ChandelierError(
                    f"the board on {self._name} got the image of {network.name} {_FUTILE} times, and does not take it: "
                    "make its bitstream again"
                )
        self.greeting = self._greet()
        self.check(network)

    def _send_pieces(self, mark: bytes, image: bytes, start: int) -> Iterator[Loaded]:
        """What the board says to the pieces from a place on; they end where it does not want the next one."""
        places, elsewhere = range(start, len(image) // 4, PIECE_WORDS), False

        def pieces() -> Iterator[tuple[Message, bytes]]:
            for place in places:
                if elsewhere:
                    return
                yield Message.LOAD, Piece(mark, place, image[4 * place :][: 4 * PIECE_WORDS]).pack()

        for index, payload in self._exchange_all(pieces()):
            with self._well_formed():
                loaded = Loaded.unpack(payload)
            elsewhere = elsewhere or loaded.wanted != min(places[index] + PIECE_WORDS, len(image) // 4)
            yield loaded

    def infer(self, codes: np.ndarray) -> Iterator[tuple[int, Result]]:
        """Number and result of each sample, in the order in which they come: as many are under way as have room.

        Parameters
        ----------
        codes : (samples, features) or (samples, steps, features) uint8
            Of a network that was loaded, these may be fewer features than the board has.

        Raises
        ------
        ChandelierError
            If they are not what the board takes, too.
        """
        board = self.greeting
        missing = board.features - codes.shape[-1]
        if missing > 0 and board.image_words:  # they have no synapses
            codes = np.pad(codes, [*[(0, 0)] * (codes.ndim - 1), (0, missing)])
        check_codes(board, codes, f"the board on {self._name}")
        requests = (_sample_request(payload.tobytes()) for payload in pack_codes(codes, board.bits))
        for index, payload in self._exchange_all(requests):
            with self._well_formed():
                result = Result.unpack(payload, board.logit_bytes)
                if len(result.logits) != board.classes:
                    raise ValueError(f"a result has {board.classes} logits, not {len(result.logits)}")
            yield index, result

    def counters(self) -> Counters:
        """What has been counted since the last reset."""
        payload = self._exchange(Message.COUNTERS)
        with self._well_formed():
            return Counters.unpack(payload)

    def reset(self) -> None:
        """Sets the counters to zero, and the fault LED off."""
        self._exchange(Message.RESET)

    def _exchange(self, kind: Message) -> bytes:
        """The answer to a request without a payload."""
        ((_, payload),) = self._exchange_all([(kind, b"")])
        return payload

    def _exchange_all(self, requests: Iterable[tuple[Message, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Number and payload of each answer to requests of a type and a payload."""
        waiting: dict[int, _Request] = {}  # by sequence number, in the order in which they were sent last
        fresh = (
            _Request(index, Frame(kind, self._next(waiting), payload)) for index, (kind, payload) in enumerate(requests)
        )
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
            if why == Refusal.NO_NETWORK:
                raise ChandelierError(f"the board on {self._name} holds no network any more: load one with --load")
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


def _mark(network: IntegerNetwork) -> bytes:
    """By which a board knows the network."""
    return bytes.fromhex(network_sha256(network))[:NETWORK_BYTES]


def _sample_request(payload: bytes) -> tuple[Message, bytes]:
    """The shorter way to send a sample."""
    sparse = without_zeros(payload)
    return (Message.SPARSE, sparse) if len(sparse) < len(payload) else (Message.SAMPLE, payload)


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
