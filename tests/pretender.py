"""In the place of a serial port: something that answers."""

from collections.abc import Callable

from hw.protocol import Frame, FrameDecoder


class Pretender:
    """What looks like a port, with something behind it that answers each frame with bytes."""

    def __init__(self, answer: Callable[[Frame], bytes]) -> None:
        self._answer, self._decoder, self._line = answer, FrameDecoder(), b""

    @property
    def in_waiting(self) -> int:
        return len(self._line)

    def read(self, size: int, /) -> bytes:
        head, self._line = self._line[:size], self._line[size:]
        return head

    def write(self, line: bytes, /) -> None:
        for frame in self._decoder.feed(line):
            self._line += self._answer(frame)
