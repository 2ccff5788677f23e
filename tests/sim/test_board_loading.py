"""Networks loaded into a simulated board over its serial port: right results of each, or none where a load failed."""

import random
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import serial

from hw.folding import default_foldings
from hw.load_image import load_image
from hw.loader import Status
from hw.protocol import ANSWER, Frame, Greeting, Loaded, Message, Piece, Refusal, Result, pack_codes
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from sim.board import simulated_board
from sw import host
from sw.host import Board, open_board
from tests.faults import FAULTS
from tests.random_networks import other_numbers, random_codes
from tests.sim.test_board import NETWORK, Line
from tests.sim.test_board_faults import NoisyPort

# Images are made of designs that are not elaborated.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

#: Networks that fit into the board of the first one, and whose results differ from sample to sample.
NETWORKS = [NETWORK, *(other_numbers(NETWORK, seed, smaller=True) for seed in (40, 56, 78, 242))]
SAMPLES = 20
CODES = [random_codes(network, SAMPLES, seed=1) for network in NETWORKS]
#: Words of a piece here, so that the small images are several.
PIECE = 7


def _results(network: IntegerNetwork, codes: np.ndarray) -> list[tuple[int, tuple[int, ...]]]:
    trace = GoldenModel(network).run(codes)
    return [(int(c), tuple(map(int, row))) for c, row in zip(trace.classes, trace.logits, strict=True)]


EXPECTED = [_results(network, codes) for network, codes in zip(NETWORKS, CODES, strict=True)]


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with simulated_board(NETWORK, default_foldings(NETWORK), loadable=True) as (port, _):
        yield port


@pytest.fixture
def seed() -> int:
    return random.randrange(1 << 32)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "PIECE_WORDS", PIECE)


def check_results(board: Board, k: int, where: str) -> None:
    """All samples, as the board answers them now, are those of network ``k``."""
    board.check(NETWORKS[k])
    results, classes = dict(board.infer(CODES[k])), NETWORKS[k].classes
    got = [(results[n].predicted, results[n].logits[:classes]) for n in range(SAMPLES)]
    assert got == EXPECTED[k], where


def test_networks_in_turn(port: str, request: pytest.FixtureRequest, seed: int) -> None:
    rng, begun, words, loads = random.Random(seed), time.monotonic(), 0, request.config.getoption("--reloads")
    assert all(len(set(expected)) > SAMPLES // 4 for expected in EXPECTED)
    with open_board(port) as board:
        for load in range(loads):
            k = rng.randrange(len(NETWORKS))
            board.load(NETWORKS[k])
            words += board.greeting.image_words
            check_results(board, k, f"seed {seed}, load {load}")
            with pytest.raises(host.ChandelierError, match=r"holds another network \(.*: load it with --load$"):
                board.check(NETWORKS[k - 1])
        assert board.repeated == 0
    print(f"\nseed {seed}: {loads} loads of {words // loads} words, {loads * SAMPLES} results right, "
          f"{time.monotonic() - begun:.1f} s")  # fmt: skip


def test_the_same_network_again_takes_one_pass(port: str) -> None:
    """The answer to its first piece is that all is there; where another host's load broke off, it goes on."""
    with open_board(port) as board:
        board.load(NETWORKS[1])
        before = board.counters().good
        board.load(NETWORKS[1])
        assert board.counters().good - before < 10
        pieces = board._send_pieces(host._mark(NETWORKS[2]), load_image(NETWORKS[2], board.describe()), 0)
        assert next(pieces).wanted == PIECE
    with open_board(port) as board:
        assert board.greeting.status == Status.LOADING
        with pytest.raises(host.ChandelierError, match=r"holds no network, as a load broke off or was refused: load "):
            board.check(NETWORKS[2])
        with pytest.raises(host.ChandelierError, match=r"holds no network any more: load one with --load"):
            list(board.infer(CODES[0]))
        done = list[int]()
        board.load(NETWORKS[2], lambda taken, total: done.append(taken))
        assert done[0] > PIECE  # what another host had sent stays
        check_results(board, 2, "after a load in two parts")


def _load_lines(image: bytes, k: int, rng: random.Random) -> list[bytes]:
    """The pieces of an image, of unequal lengths, as lines."""
    lines, place = list[bytes](), 0
    while place < len(image) // 4:
        count, mark = rng.randrange(1, 2 * PIECE), host._mark(NETWORKS[k])
        piece = Piece(mark, place, image[4 * place :][: 4 * count]).pack()
        lines.append(Frame(Message.LOAD, len(lines), piece).encode())
        place += count
    return lines


def _spoilt_load(lines: Sequence[bytes], rng: random.Random) -> tuple[str, list[bytes]]:
    """What goes wrong in a load, and the lines that come of it."""
    kind = rng.choice([*FAULTS, "stops", "loses", "twice", "sample between"])
    place, lines = rng.randrange(len(lines)), list(lines)
    match kind:
        case "stops":
            lines = [*lines[:place], lines[place][: rng.randrange(len(lines[place]))]]
        case "loses":
            del lines[place]
        case "twice":
            lines.insert(rng.randrange(len(lines)), lines[place])
        case "sample between":
            sample = pack_codes(CODES[0][:1], NETWORK.input.bits)[0].tobytes()
            lines.insert(place, Frame(Message.SAMPLE, 200, sample).encode())
        case _:
            lines[place] = FAULTS[kind](rng, lines[place], rng.choice(lines))
    return kind, lines


def test_a_load_that_goes_wrong_leaves_a_whole_network_or_none(
    port: str, request: pytest.FixtureRequest, seed: int
) -> None:
    rng, came = random.Random(seed), dict[tuple[str, str], int]()
    with open_board(port) as board:
        manifest = board.describe()
        logit_bytes = board.greeting.logit_bytes
        board.load(NETWORK)
    images, marks, now = [load_image(n, manifest) for n in NETWORKS], [host._mark(n) for n in NETWORKS], 0
    with Line(port) as line:
        for number in range(request.config.getoption("--faults") // 10):
            k = rng.randrange(len(NETWORKS))
            kind, lines = _spoilt_load(_load_lines(images[k], k, rng), rng)
            where = f"seed {seed}, fault {number}, {kind}, {now} to {k}"
            for part in lines:  # each is answered before the next, or was no request
                line.send(part + Frame(Message.PING, 250).encode())
                line.answers(250)
            greeting = _ping(line)
            if greeting.status == Status.READY:
                assert greeting.network in (marks[now], marks[k]), where
                now = marks.index(greeting.network)
            for _ in range(3):
                n = rng.randrange(SAMPLES)
                whole = np.zeros((1, *CODES[now].shape[1:-1], NETWORK.input.features), np.uint8)
                whole[..., : CODES[now].shape[-1]] = CODES[now][n]
                sample = pack_codes(whole, NETWORK.input.bits)[0].tobytes()
                line.send(Frame(Message.SAMPLE, 252, sample).encode())
                answer = line.answers(252)[-1]
                if greeting.status == Status.READY:
                    result = Result.unpack(answer.payload, logit_bytes)
                    assert (result.predicted, result.logits[: NETWORKS[now].classes]) == EXPECTED[now][n], where
                else:
                    assert (answer.kind, answer.payload) == (Message.REFUSED, bytes([Refusal.NO_NETWORK])), where
            outcome = greeting.status.name
            came[kind, outcome] = came.get((kind, outcome), 0) + 1
            good = rng.randrange(len(NETWORKS))
            if rng.random() < 0.5:  # or the next load is as bad, and finds a part of this one
                _load(line, images[good], good, rng)
                assert (_ping(line).status, _ping(line).network) == (Status.READY, marks[good]), where
                now = good
    print(f"\nseed {seed}: {came}")
    assert {outcome for _, outcome in came} >= {"READY", "LOADING"}


def _load(line: Line, image: bytes, k: int, rng: random.Random) -> None:
    """A load as a host makes it: what is wanted comes next."""
    place, words = 0, len(image) // 4
    while place < words:
        piece = Piece(host._mark(NETWORKS[k]), place, image[4 * place :][: 4 * rng.randrange(1, 2 * PIECE)])
        line.send(Frame(Message.LOAD, 253, piece.pack()).encode())
        place = Loaded.unpack(line.answers(253)[-1].payload).wanted


def _ping(line: Line) -> Greeting:
    line.send(Frame(Message.PING, 251).encode())
    answer = line.answers(251)[-1]
    assert answer.kind == ANSWER | Message.PING
    return Greeting.unpack(answer.payload)


def test_loads_over_a_bad_line(
    port: str, request: pytest.FixtureRequest, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_SILENCES", 100)
    rng, loads = random.Random(seed), 0
    with serial.Serial(port, timeout=0.02, exclusive=True) as good:
        good.reset_input_buffer()
        noisy = NoisyPort(good, rng, spoilt=0.0)
        board = Board(noisy, "noisy", patience=0.1)
        board.describe()  # so long an answer, which comes byte by byte, would hardly ever be whole
        noisy.spoilt = 0.05
        while noisy.errors < request.config.getoption("--faults") // 10:
            k = rng.randrange(len(NETWORKS))
            board.load(NETWORKS[k])
            check_results(board, k, f"seed {seed}, load {loads}")
            loads += 1
    print(f"\nseed {seed}: {noisy.errors} errors, {loads} loads, {board.repeated} requests sent again")
