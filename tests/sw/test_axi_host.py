"""The host of the AXI shell with a register model and a DMA that answers: what it refuses, and says about it.

``tests/sim/axi_bench.py`` runs it against the simulated shell.
"""

from collections import deque

import numpy as np
import pytest

from hw.axi_shell import design_registers
from hw.manifest import Manifest
from hw.network import Network
from hw.registers import read_registers
from hw.rtl import network_sha256
from quant.errors import ChandelierError
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from sw.axi_host import AxiBoard
from tests.random_networks import random_codes, random_network

NETWORK = random_network(293, largest=16)

# A manifest is made of a design that is not elaborated.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


def manifest_of(network: IntegerNetwork) -> Manifest:
    sha256 = network_sha256(network)
    return Network(network).manifest(generator="t", name="t", network_sha256=sha256, files={})


class Model:
    """Registers of a design, and streams that answer as its network does, with ``cut`` words too few."""

    def __init__(self, network: IntegerNetwork) -> None:
        constants = {r.offset: sum(f.value << f.lsb for f in r.fields) for r in design_registers(manifest_of(network))}
        self.words, self.written = constants, list[tuple[int, int]]()
        self._answers, self.cut, self.under_way, self.most = deque[np.ndarray](), 0, 0, 0

    def read(self, offset: int) -> int:
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        self.written.append((offset, value))

    def answer(self, codes: np.ndarray) -> None:
        """The results that are going to come."""
        trace = GoldenModel(NETWORK).run(codes)
        for predicted, logits in zip(trace.classes, trace.logits, strict=True):
            words = np.array([predicted, 7, *logits], np.int64) % (1 << 32)
            self._answers.append(words.astype("<u4"))

    def send(self, packet: np.ndarray) -> None:
        assert packet.dtype == np.dtype("<u4") and packet.ndim == 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)

    def receive(self, words: int) -> np.ndarray:
        self.under_way -= 1
        if not self._answers:
            raise TimeoutError("no packet in 1 s")
        packet = self._answers.popleft()
        assert packet.size == words
        return packet[: packet.size - self.cut]


def test_results_come_in_order_and_two_samples_are_under_way() -> None:
    model, codes = Model(NETWORK), random_codes(NETWORK, 9, 1)
    board = AxiBoard(model, model)
    board.check(NETWORK)
    assert (board.greeting.features, board.greeting.vectors) == (NETWORK.input.features, NETWORK.steps)
    model.answer(codes)
    got = list(board.infer(codes))
    trace = GoldenModel(NETWORK).run(codes)
    assert [k for k, _ in got] == list(range(9))
    assert [result.predicted for _, result in got] == trace.classes.tolist()
    assert [list(result.logits) for _, result in got] == trace.logits.tolist()
    assert {result.cycles for _, result in got} == {7}
    assert model.most == 2


def test_counters_and_resets() -> None:
    model = Model(NETWORK)
    board, offsets = AxiBoard(model, model), {r.name: r.offset for r in read_registers()}
    for k, name in enumerate(("samples", "results", "errors", "cycles")):
        model.words[offsets[name]] = 10 + k
    counters = board.counters()
    assert (counters.samples, counters.results, counters.errors, counters.cycles) == (10, 11, 12, 13)
    board.reset()
    board.restart()
    assert model.written == [(offsets["control"], 2), (offsets["control"], 1)]


@pytest.mark.parametrize(
    ("name", "word", "said"),
    [
        (
            "id",
            0xFFFFFFFF,
            r"^register id is 0xFFFFFFFF, and of a shell of this Chandelier 0x4C444843: check the address",
        ),
        ("version", 2, r"^register version is 0x00000002, and of a shell of this Chandelier 0x00000001: check"),
    ],
)
def test_what_is_no_shell_is_refused(name: str, word: int, said: str) -> None:
    model = Model(NETWORK)
    model.words[next(r.offset for r in read_registers() if r.name == name)] = word
    with pytest.raises(ChandelierError, match=said):
        AxiBoard(model, model)


def test_another_network_is_refused() -> None:
    board = AxiBoard(model := Model(NETWORK), model)
    with pytest.raises(
        ChandelierError,
        match=r"^the design holds another network \([0-9a-f]{16}, 12 features, 14 classes\) than random1 ",
    ):
        board.check(random_network(1))
    model.words[next(r.offset for r in read_registers() if r.name == "status")] = 8
    with pytest.raises(
        ChandelierError, match=r"^something was loaded into the design, which cannot say what: load the"
    ):
        board.check(NETWORK)


def test_codes_packets_and_dma_that_are_wrong() -> None:
    board, codes = AxiBoard(model := Model(NETWORK), model), random_codes(NETWORK, 2, 1)
    with pytest.raises(
        ChandelierError, match=r"^the design takes uint8 codes of 2 x 12 a sample, not uint8 of \(2, 11\)"
    ):
        list(board.infer(codes[..., :11]))
    with pytest.raises(
        ChandelierError, match=r"^the DMA fails \(no packet in 1 s\): does its clock run, and is the design"
    ):
        list(board.infer(codes))
    model.answer(codes)
    model.cut = 1
    with pytest.raises(
        ChandelierError, match=r"^a result of 15 words came, and of 14 classes it has 16: reset the design"
    ):
        list(board.infer(codes))
    with pytest.raises(ChandelierError, match=r"^the weights of the design t are fixed: generate it with"):
        board.load(NETWORK, manifest_of(NETWORK))
