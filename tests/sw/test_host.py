"""The host against simulated boards, good and bad lines, and what only looks like a board."""

import os
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import serial

from hw.folding import default_foldings
from hw.loader import Status
from hw.network import Network
from hw.protocol import ANSWER, Frame, Greeting, Message
from hw.rtl import network_sha256
from quant.errors import ChandelierError
from sim.board import simulated_board
from sw.host import Board, open_board
from tests.hw.test_serial_shell import expected_result
from tests.pretender import Pretender
from tests.random_networks import random_codes, random_network
from tests.sim.test_board import NETWORK

GREETING = Greeting(
    version=2,
    window=4,
    network=bytes.fromhex(network_sha256(NETWORK))[:8],
    features=NETWORK.input.features,
    bits=NETWORK.input.bits,
    vectors=1 if NETWORK.input.kind == "static" else NETWORK.steps,
    classes=NETWORK.classes,
    logit_bytes=2,
    image_words=0,
    status=Status.READY,
)


@pytest.fixture(scope="module")
def simulated() -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    with simulated_board(NETWORK, default_foldings(NETWORK)) as started:
        yield started


def good_board(frame: Frame) -> bytes:
    """Answers as a board would whose logits are all 0, without looking at samples."""
    result = bytes(6 + 2 * NETWORK.classes)
    payload = {Message.PING: GREETING.pack(), Message.SAMPLE: result, Message.SPARSE: result}
    return Frame(ANSWER | frame.kind, frame.sequence, payload.get(Message(frame.kind), b"")).encode()


def saying(said: Mapping[Message, bytes]) -> Callable[[Frame], bytes]:
    """Answers each type of request with its payload."""
    return lambda frame: Frame(ANSWER | frame.kind, frame.sequence, said[Message(frame.kind)]).encode()


def check_results(board: Board, samples: int, seed: int) -> None:
    codes = random_codes(NETWORK, samples, seed)
    results = dict(board.infer(codes))
    assert sorted(results) == list(range(samples))
    for k, sample in enumerate(codes):
        assert (results[k].predicted, results[k].logits) == expected_result(NETWORK, sample), f"seed {seed}, sample {k}"


def test_results_counters_and_reset(simulated: tuple[str, object]) -> None:
    with open_board(simulated[0]) as board:
        board.check(NETWORK)
        assert replace(board.greeting, logit_bytes=2) == GREETING
        board.reset()
        check_results(board, 100, seed=1)
        counters = board.counters()
        assert (counters.good, counters.bad, counters.lost, counters.samples) == (101, 0, 0, 100)
        assert board.repeated == 0
        board.reset()
        assert board.counters().samples == 0


def test_a_host_that_stops_in_the_middle(simulated: tuple[str, object]) -> None:
    """The next one starts with answers under way that are not its own."""
    codes = random_codes(NETWORK, 40, seed=2)
    for seed in range(20):
        with open_board(simulated[0]) as board:
            results = board.infer(codes)
            for _ in range(seed % 7):
                next(results)
        with open_board(simulated[0]) as board:
            check_results(board, 6, seed)


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(ChandelierError, match=rf"^there is no serial port {tmp_path}/none: there "),
        open_board(f"{tmp_path}/none"),
    ):
        pass


def test_a_file_that_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ChandelierError, match=r"^cannot open .*/file: "), open_board(f"{tmp_path}/file"):
        pass


def test_a_port_in_use(simulated: tuple[str, object]) -> None:
    with (
        open_board(simulated[0]),
        pytest.raises(ChandelierError, match=r"^/dev/.* is in use by another program$"),
        open_board(simulated[0]),
    ):
        pass


def test_nothing_answers() -> None:
    master, slave = os.openpty()
    name = os.ttyname(slave)
    complaint = rf"^nothing answers on {name}: check the port, the bitstream, and --baud"
    with pytest.raises(ChandelierError, match=complaint), serial.Serial(name, timeout=0.02) as port:
        Board(port, name, patience=0.05)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda f: b"", "nothing answers on p: check the port"),
        (lambda f: b"login: ", "what answers on p is no board of Chandelier (42 bytes without meaning): check the "),
        (lambda f: Frame(ANSWER | 2, f.sequence).encode(), "what answers on p is no board of Chandelier"),
        (lambda f: Frame(ANSWER | 1, f.sequence + 1 & 255).encode(), "what answers on p is no board of Chandelier"),
        (lambda f: Frame(0xFF, f.sequence, b"\2").encode(), "the board on p refuses a request (wrong length)"),
        (lambda f: Frame(0xFF, f.sequence).encode(), "the board on p refuses a request (code 0)"),
        (lambda f: Frame(ANSWER | 1, f.sequence).encode(), "speaks version ? of the protocol, and this Chandelier v"),
        (
            lambda f: Frame(ANSWER | 1, f.sequence, replace(GREETING, version=3).pack()).encode(),
            "the board on p speaks version 3 of the protocol, and this Chandelier version 2: make its bitstream again",
        ),
        (lambda f: Frame(ANSWER | 1, f.sequence, b"\2").encode(), "the board on p sends what no board does (a greeti"),
    ],
)
def test_what_is_no_board(answer: Callable[[Frame], bytes], complaint: str) -> None:
    with pytest.raises(ChandelierError) as error:
        Board(Pretender(answer), "p", patience=0.02)
    assert complaint in str(error.value)


def test_another_network() -> None:
    board = Board(Pretender(good_board), "p")
    board.check(NETWORK)
    with pytest.raises(
        ChandelierError, match=r"^the board on p holds another network \([0-9a-f]{16}, .* than random6 "
    ):
        board.check(random_network(6, largest=9))


def test_refused_samples_and_answers() -> None:
    board = Board(Pretender(good_board), "p", patience=0.02)
    codes = random_codes(NETWORK, 3, seed=1)
    with pytest.raises(ChandelierError, match=r"the board on p takes uint8 codes of .* a sample, not uint8 of"):
        list(board.infer(codes[..., 1:]))
    with pytest.raises(ChandelierError, match=r"the board on p takes uint8 codes of .* a sample, not int64 of"):
        list(board.infer(codes.astype(np.int64)))
    if NETWORK.input.bits < 8:
        with pytest.raises(ChandelierError, match=f"the board on p takes codes of {NETWORK.input.bits} bits, not 255"):
            list(board.infer(np.full_like(codes, 255)))
    assert len(list(board.infer(codes))) == 3
    with pytest.raises(ChandelierError, match=r"the board on p sends what no board does \(counters have 16 bytes"):
        board.counters()


def test_a_result_with_too_few_logits() -> None:
    board = Board(
        Pretender(lambda f: good_board(f) if f.kind == 1 else Frame(ANSWER | f.kind, f.sequence, bytes(8)).encode()),
        "p",
    )
    with pytest.raises(ChandelierError, match=rf"a result has {NETWORK.classes} logits, not 1"):
        list(board.infer(random_codes(NETWORK, 1, seed=1)))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_loads_that_do_not_come_about() -> None:
    """Into a board with fixed weights; one that says nonsense, another size, or that it wants the same again."""
    with pytest.raises(
        ChandelierError, match=r"^the weights of the board on p are fixed: make its bitstream with --we"
    ):
        Board(Pretender(good_board), "p").load(NETWORK)
    design = Network(NETWORK, shape=NETWORK).manifest(generator="t", name="t", network_sha256="0" * 64, files={})
    assert design.load is not None
    description, words = design.description(), design.load.image_words
    again = bytes([Status.REFUSED, 0, 0, 0, 0])
    for payload, image_words, complaint in (
        (b"nonsense", words, r"^the board on p sends what no board does \(its description is damaged"),
        (description[:-1], words, r"^the board on p sends what no board does \(its description has a wrong length\)"),
        (zlib.compress(b"{}"), words, r"^the board on p sends what no board does \(its description, generator: "),
        (
            description,
            words + 1,
            rf"^the board on p takes images of {words + 1} words, and describes a design with {words}",
        ),
        (description, words, r"^the board on p got the image of random293 3 times, and does not take it: make its "),
    ):
        greeting = replace(GREETING, image_words=image_words).pack()
        said = {Message.PING: greeting, Message.DESCRIBE: payload, Message.LOAD: again}
        board = Board(Pretender(saying(said)), "p")
        with pytest.raises(ChandelierError, match=complaint):
            board.load(NETWORK)


def test_a_request_that_never_gets_through() -> None:
    """Others are answered, so that something is there; the board is not waited for without an end."""
    sent: dict[int, int] = {}

    def answer(frame: Frame) -> bytes:
        sent[frame.sequence] = sent.get(frame.sequence, 0) + 1
        first = len(sent) == 2 and frame.kind != Message.PING  # the greeting was the one before
        unlucky.update({frame.sequence} if first else set())
        return b"" if frame.sequence in unlucky else good_board(frame)

    unlucky: set[int] = set()
    board = Board(Pretender(answer), "p", patience=0.02)
    with pytest.raises(ChandelierError, match=r"^the board on p answers others, but not a request that was sent 20 t"):
        list(board.infer(random_codes(NETWORK, 200, seed=1)))


def test_a_board_that_dies() -> None:
    with simulated_board(NETWORK, default_foldings(NETWORK)) as (port, process), open_board(port) as board:
        results = board.infer(random_codes(NETWORK, 50, seed=1))
        next(results)
        process.kill()
        process.wait()
        with pytest.raises(ChandelierError, match=rf"^(the port {port} fails: |nothing answers on {port}: )"):
            list(results)
