"""Packets of the AXI shell: only good ones leave the store, as the codes that they hold; results are sent as words."""

import random
from typing import Any

import numpy as np
import pytest

from hw.layouts import result_layout
from hw.manifest import InputPort
from hw.network import Network
from hw.packets import PacketStore, ResultSender, logit_words, vector_words
from hw.protocol import code_bits, pack_codes
from quant.formats import Format
from tests.hw.exchange import exchange
from tests.random_networks import random_codes, random_network

# A manifest is made of a design that is not elaborated.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

SHA256 = "0123456789abcdef" * 4


def _port(seed: int) -> tuple[InputPort, np.ndarray]:
    network = random_network(seed, largest=30)
    manifest = Network(network).manifest(generator="t", name="t", network_sha256=SHA256, files={})
    return manifest.input, random_codes(network, 6, seed)


@pytest.mark.parametrize("seed", range(6))
def test_only_good_packets_leave_the_store(seed: int) -> None:
    """What a vector has no codes for is noise in its last word, and zero behind the store."""
    (port, codes), rng = _port(seed), random.Random(seed)
    lanes, words, width = 32 // code_bits(port.bits), vector_words(port), code_bits(port.bits)
    beats: list[Any] = []
    for packet in pack_codes(codes, port.bits, 4).view("<u4").tolist():
        for _ in range(rng.randrange(3)):  # too short, or too long
            length = rng.choice([rng.randrange(len(packet)), len(packet) + rng.randrange(1, 2 * len(packet) + 2)])
            beats += [{"data": rng.getrandbits(32), "last": k == length - 1} for k in range(length)]
        for k, word in enumerate(packet):
            unused = max(0, (k % words + 1) * lanes - port.features) * width
            noise = rng.getrandbits(32) & ~((1 << 32 - unused) - 1)
            beats.append({"data": word | noise, "last": k == len(packet) - 1})
    result = exchange(PacketStore(port), beats, codes.size // port.features * words, seed=seed)
    got = [
        [code for beat in result.outputs[k : k + words] for code in beat["values"]]
        for k in range(0, len(result.outputs), words)
    ]
    expected = codes.reshape(-1, port.features)
    assert [vector[: port.features] for vector in got] == expected.tolist(), f"seed {seed}"
    assert not any(code for vector in got for code in vector[port.features :]), f"seed {seed}"
    places = [(k, k == words - 1) for k in range(words)] * len(expected)
    assert [(beat["word"], bool(beat["last"])) for beat in result.outputs] == places


@pytest.mark.parametrize(
    "logit", [Format(9, signed=True), Format(32), Format(32, signed=True), Format(45, signed=True)]
)
def test_results_are_sent_as_words(logit: Format) -> None:
    rng, classes, words = random.Random(1), 5, logit_words(logit.width, signed=logit.signed)
    results = [
        {"class": rng.randrange(classes), "logits": [rng.randint(logit.min, logit.max) for _ in range(classes)]}
        for _ in range(8)
    ]
    dut = ResultSender(result_layout(classes, logit))
    sent = exchange(dut, results, len(results) * (2 + classes * words), seed=1).outputs
    size = 2 + classes * words
    for k, result in enumerate(results):
        packet = sent[k * size : (k + 1) * size]
        assert [beat["last"] for beat in packet] == [0] * (size - 1) + [1]
        assert packet[0]["data"] == result["class"]
        raw = b"".join(beat["data"].to_bytes(4, "little") for beat in packet[2:])
        got = [int.from_bytes(raw[n : n + 4 * words], "little", signed=True) for n in range(0, len(raw), 4 * words)]
        assert got == result["logits"]
