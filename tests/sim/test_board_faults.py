"""Errors of every kind on the line of a simulated board: no wrong result is taken, and the next good frame answered."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import serial

from hw.folding import default_foldings
from hw.protocol import ANSWER, Frame, Greeting, Message, Result, pack_codes
from sim.board import simulated_board
from sw import host
from sw.host import Board, Port
from tests.faults import FAULTS, spoil
from tests.hw.test_serial_shell import expected_result
from tests.random_networks import random_codes
from tests.sim.test_board import NETWORK, Line

CODES = random_codes(NETWORK, 50, seed=1)
PAYLOADS = [payload.tobytes() for payload in pack_codes(CODES, NETWORK.input.bits)]
EXPECTED = [expected_result(NETWORK, sample) for sample in CODES]


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with simulated_board(NETWORK, default_foldings(NETWORK)) as (port, _):
        yield port


@pytest.fixture(scope="module")
def faults(request: pytest.FixtureRequest) -> int:
    count = request.config.getoption("--faults")
    assert isinstance(count, int)
    return count


@pytest.fixture(scope="module")
def seed() -> int:
    return random.randrange(1 << 32)


def request(rng: random.Random, sequence: int) -> tuple[bytes, int]:
    """The line of a request, most often a sample, and the number of the sample."""
    k = rng.randrange(len(CODES))
    kind = rng.choice([Message.SAMPLE, Message.SAMPLE, Message.SAMPLE, Message.PING, Message.COUNTERS])
    return Frame(kind, sequence, PAYLOADS[k] if kind == Message.SAMPLE else b"").encode(), k


def test_what_is_spoilt_is_not_answered_wrongly_and_what_follows_is_answered(port: str, faults: int, seed: int) -> None:
    """After each spoilt request comes a good one. Results are those of the samples that were sent, or there is none."""
    rng, came = random.Random(seed), Counter[str]()
    with Line(port) as line:
        line.send(Frame(Message.PING, 255).encode())
        logit_bytes = Greeting.unpack(line.answers(255)[-1].payload).logit_bytes
        for number in range(faults):
            where, kind = f"seed {seed}, fault {number}", rng.choice(list(FAULTS))
            (spoilt, first), (other, second) = request(rng, 1), request(rng, 2)
            third = rng.randrange(len(CODES))
            good = Frame(Message.SAMPLE, 3 + number % 250, PAYLOADS[third]).encode()
            line.send(FAULTS[kind](rng, spoilt, other) + good)
            samples = {1: first, 2: second, 3 + number % 250: third}
            answers = line.answers(3 + number % 250)
            for answer in answers:
                if answer.kind == ANSWER | Message.SAMPLE:
                    result = Result.unpack(answer.payload, logit_bytes)
                    got, expected = (result.predicted, result.logits), EXPECTED[samples[answer.sequence]]
                    assert got == expected, f"{where}, {kind}"
            assert answers[-1].kind == ANSWER | Message.SAMPLE, f"{where}, {kind}"
            came[kind] += len(answers) == 1
        assert line.decoder.bad == 0
    print(f"\nseed {seed}: {faults} faults, of which so many left nothing that was answered: {dict(came)}")
    assert set(came) == set(FAULTS) and sum(came.values()) > faults // 2


class NoisyPort:
    """A port on whose line what is sent and received is spoilt now and then."""

    def __init__(self, port: Port, rng: random.Random, spoilt: float) -> None:
        self._port, self._rng, self.spoilt = port, rng, spoilt
        self.errors = 0

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def _spoil(self, line: bytes) -> bytes:
        if not line or self._rng.random() >= self.spoilt:
            return line
        self.errors += 1
        return spoil(self._rng, line)

    def read(self, size: int, /) -> bytes:
        return self._spoil(self._port.read(size))

    def write(self, line: bytes, /) -> None:
        self._port.write(self._spoil(line))


def test_a_host_gets_every_result_right_over_a_bad_line(
    port: str, faults: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A simulated board may be slow to answer where much else runs: it has ten seconds, in short turns.
    for limit in ("_SILENCES", "_SENDINGS"):
        monkeypatch.setattr(host, limit, 100)
    rng, results, begun = random.Random(seed), 0, time.monotonic()
    with serial.Serial(port, timeout=0.02, exclusive=True) as good:
        good.reset_input_buffer()
        noisy = NoisyPort(good, rng, spoilt=0.05)
        board = Board(noisy, "noisy", patience=0.1)
        while noisy.errors < faults:
            got = dict(board.infer(CODES))
            assert sorted(got) == list(range(len(CODES))), f"seed {seed}, after {results} results"
            for k, result in got.items():
                assert (result.predicted, result.logits) == EXPECTED[k], f"seed {seed}, result {results + k}"
            results += len(CODES)
    seconds = time.monotonic() - begun
    print(f"\nseed {seed}: {noisy.errors} errors, {results} results, {board.repeated} sent again, {seconds:.0f} s")
    assert board.repeated > noisy.errors // 4
