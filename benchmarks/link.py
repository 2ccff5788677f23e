"""How fast a serial line is: images a second on a simulated board, and how wrong the clock of a sender may be."""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np

import hw.uart
from hw.folding import default_foldings
from hw.protocol import Frame, Message, pack_codes, without_zeros
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from quant.network_file import load_network
from sim.board import simulated_board
from sw.cosim import dataset_codes
from sw.data import load
from sw.host import open_board
from tests.hw.test_uart import receive, sampled, waveform

#: Bits of a byte on the line.
_BITS = 10
#: MHz: the clocks of the boards.
_CLOCKS = (12.0, 25.0, 48.0, 50.0)


def line_bytes(codes: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Bytes on the line of each sample's request: with zeros, and the shorter of both."""
    payloads = [payload.tobytes() for payload in pack_codes(codes, bits)]
    dense = [len(Frame(Message.SAMPLE, 0, payload).encode()) for payload in payloads]
    sparse = [len(Frame(Message.SPARSE, 0, without_zeros(payload)).encode()) for payload in payloads]
    return np.array(dense), np.minimum(dense, sparse)


def simulated_cycles(network: IntegerNetwork, codes: np.ndarray, divisor: int) -> tuple[int, list[int]]:
    """Clock cycles from a simulated board's start to its end, and those of each sample on it; results are checked."""
    logits = GoldenModel(network).run(codes).logits
    with simulated_board(network, default_foldings(network), divisor=divisor) as (port, process):
        with open_board(port) as board:
            results = dict(board.infer(codes))
        assert all(results[k].logits == tuple(row) for k, row in enumerate(logits.tolist()))
        assert not board.repeated
        assert process.stdin and process.stdout
        process.stdin.close()
        return int(process.stdout.read()), [result.cycles for result in results.values()]


def show_line(network: IntegerNetwork, codes: np.ndarray, divisors: Sequence[int], few: int, many: int) -> None:
    """A row for each divisor: the line's cycles an image, the simulated ones, images a second for each clock."""
    dense, shorter = line_bytes(codes, network.input.bits)
    print(f"{len(codes)} test images: {dense.mean():.1f} bytes each on the line, {shorter.mean():.1f} without zeros")
    sent = line_bytes(codes[few:many], network.input.bits)[1].mean()
    print("| divisor | line, cycles an image | simulated | " + " | ".join(f"{c:g} MHz" for c in _CLOCKS) + " |")
    for divisor in divisors:
        runs = [simulated_cycles(network, codes[:count], divisor) for count in (few, many)]
        cycles, board = (runs[1][0] - runs[0][0]) / (many - few), np.mean(runs[1][1])
        rates = " | ".join(
            f"{clock / divisor:.2f} Mbaud, {clock * 1e6 / (shorter.mean() * _BITS * divisor):,.0f}/s"
            for clock in _CLOCKS
        )
        print(f"| {divisor} | {sent * _BITS * divisor:,.0f} | {cycles:,.0f} | {rates} | on the board {board:,.0f}")


def show_margins(divisors: Sequence[int], count: int) -> None:
    """The drift, in steps of 0.25 %, up to which every byte sent without pauses is right, at any phase."""
    for divisor in divisors:
        rng, right = random.Random(divisor), {}
        for sign in (-1, 1):
            for step in range(25):
                bit = divisor * (1 + sign * step / 400)
                sent = [rng.choice([0, 0x55, 0xAA, 0xFF, rng.randrange(256)]) for _ in range(count)]
                pauses = [rng.random() * divisor for _ in sent]
                parts = (part for v, p in zip(sent, pauses, strict=True) for part in waveform(v, bit, idle=p))
                with mock.patch.object(hw.uart, "SMALLEST_DIVISOR", 3):
                    if receive(sampled(parts), divisor) != sent:
                        break
                right[sign] = step / 4
        print(f"divisor {divisor}: {-right.get(-1, float('nan')):g} % to {right.get(1, float('nan')):g} %")


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", type=Path)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--images", type=int, nargs=2, default=(10, 40), help="simulated: the difference counts")
    given = parser.parse_args()
    network = load_network(given.network)
    show_line(network, dataset_codes(network, load(given.data), "all"), (4, 8, 16), *given.images)
    show_margins((3, 4, 5, 6, 8), 60)


if __name__ == "__main__":
    main()
