"""The simulated board through its pseudo-terminal: right results, hosts that come and go, an end with its parent."""

import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw.folding import default_foldings
from hw.protocol import ANSWER, Counters, Frame, FrameDecoder, Greeting, Message, Result, pack_codes
from hw.serial_shell import WINDOW
from sim.board import simulated_board
from tests.faults import spoil
from tests.hw.test_serial_shell import expected_result
from tests.random_networks import random_codes, random_network

#: One of the few random networks whose results differ from sample to sample.
NETWORK = random_network(293, largest=16)
#: Seconds after which an answer will not come.
PATIENCE = 30.0


class Line:
    """One end of a serial line, and the good frames that come over it."""

    def __init__(self, port: str) -> None:
        self._file = os.open(port, os.O_RDWR | os.O_NOCTTY)
        self.decoder, self.got = FrameDecoder(), list[Frame]()

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def send(self, line: bytes) -> None:
        assert os.write(self._file, line) == len(line)

    def answers(self, sequence: int) -> list[Frame]:
        """The frames up to the answer of that number."""
        end = time.monotonic() + PATIENCE
        while not any(frame.sequence == sequence for frame in self.got):
            readable, *_ = select.select([self._file], [], [], max(0.0, end - time.monotonic()))
            assert readable, f"no answer {sequence}"
            self.got += self.decoder.feed(os.read(self._file, 4096))
        came, self.got = self.got, []
        return came


@pytest.fixture(scope="module")
def board() -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    with simulated_board(NETWORK, default_foldings(NETWORK)) as started:
        yield started


def test_results_are_those_of_the_network(board: tuple[str, object]) -> None:
    codes = random_codes(NETWORK, 40, seed=3)
    frames = [
        Frame(Message.SAMPLE, k, payload.tobytes()).encode()
        for k, payload in enumerate(pack_codes(codes, NETWORK.input.bits))
    ]
    with Line(board[0]) as line:
        line.send(Frame(Message.PING, 200).encode())
        (ping,) = line.answers(200)
        greeting = Greeting.unpack(ping.payload)
        assert (greeting.features, greeting.classes) == (NETWORK.input.features, NETWORK.classes)
        answers = []
        for start in range(0, len(frames), WINDOW):
            line.send(b"".join(frames[start : start + WINDOW]))
            answers += line.answers(min(start + WINDOW, len(frames)) - 1)
        assert line.decoder.bad == 0
    assert len({expected_result(NETWORK, sample) for sample in codes}) > 10
    for k, (answer, sample) in enumerate(zip(answers, codes, strict=True)):
        assert (answer.kind, answer.sequence) == (ANSWER | Message.SAMPLE, k)
        result = Result.unpack(answer.payload, greeting.logit_bytes)
        assert (result.predicted, result.logits) == expected_result(NETWORK, sample), f"sample {k}"


def test_hosts_come_and_go(board: tuple[str, object]) -> None:
    """Each leaves in the middle of a frame, and before its answers are read; the next one is answered all the same."""
    rng = random.Random(7)
    (payload,) = pack_codes(random_codes(NETWORK, 1, seed=7), NETWORK.input.bits)
    request = Frame(Message.SAMPLE, 1, payload.tobytes()).encode()
    for k in range(2, 40):
        with Line(board[0]) as line:
            line.send(Frame(Message.PING, k).encode())
            answer = line.answers(k)[-1]
            assert (answer.kind, answer.sequence) == (ANSWER | Message.PING, k)
            line.send(request * rng.randrange(2) + request[: rng.randrange(len(request))])


def test_noise_is_counted(board: tuple[str, object]) -> None:
    rng = random.Random(11)
    with Line(board[0]) as line:
        line.send(Frame(Message.RESET, 250).encode())
        line.answers(250)
        for k in range(200):
            line.send(spoil(rng, Frame(Message.PING, 251, rng.randbytes(5)).encode()))
            line.send(Frame(Message.PING, k).encode())
            assert line.answers(k)[-1].kind == ANSWER | Message.PING
        line.send(Frame(Message.COUNTERS, 252).encode())
        counters = Counters.unpack(line.answers(252)[-1].payload)
    assert counters.good >= 201
    assert 100 < counters.bad < 400
    assert counters.samples == 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_board_that_nobody_talks_to_takes_no_time(board: tuple[str, "subprocess.Popen[str]"]) -> None:
    def ticks() -> int:
        return sum(map(int, Path(f"/proc/{board[1].pid}/stat").read_text().rpartition(")")[2].split()[11:13]))

    with Line(board[0]) as line:
        line.send(Frame(Message.PING, 9).encode())
        line.answers(9)
    time.sleep(0.2)
    before = ticks()
    time.sleep(1.0)
    assert ticks() - before < 20  # of 100 a second


_PARENT = """
import os, sys
from hw.folding import default_foldings
from sim.board import simulated_board
from tests.sim.test_board import NETWORK
with simulated_board(NETWORK, default_foldings(NETWORK)) as (port, board):
    print(board.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_board_ends_with_its_parent(board: tuple[str, object]) -> None:
    """Even if that is killed, and can do nothing about it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(pid, 0)
        process.kill()
    end = time.monotonic() + 20
    while time.monotonic() < end and Path(f"/proc/{pid}").exists():
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
