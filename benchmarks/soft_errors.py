"""Bits that turn over in the digits network: accuracy by rate and place, what single ones do, and what would notice.

``python -m benchmarks.soft_errors``; tables, and runs/soft-errors/soft-errors.svg. Minutes, of which yosys takes most.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hw.folding import default_foldings
from hw.load_image import image_of_words
from hw.load_shape import fingerprint
from hw.loadable import load_words
from hw.network import Network
from hw.synthesis import parse_cells
from hw.tools import Runner, find_tool
from quant.exact import divide, lif_step, stabilise, state_dtype
from quant.formats import Format
from quant.golden import GoldenModel, first_argmax
from quant.network import Array, IntegerNetwork, Layer, Neurons
from quant.network_file import load_network
from quant.reciprocal import Reciprocal
from quant.widths import LayerWidths, network_widths
from sw.config import load_config
from sw.console import exit_on_error, progress_bars
from sw.data import Dataset, load
from sw.quantise import quantise_run
from sw.report.charts import lines, standalone
from sw.training import train

ROOT = Path(__file__).parents[1]
#: Of each bit; of what is stored for good once, of state each time that it is stored.
RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
TRIALS = 20
#: Memories that keep what they hold, and state that a sample leaves behind.
MEMORIES = ("synapses", "gains and biases", "reciprocals")
STATE = ("accumulators", "membranes")
#: Of a figure: (x, y) by the place where bits are wrong.
Curves = dict[str, list[tuple[float, float]]]
#: Single bits turned over in each memory, and damaged images.
SINGLES, IMAGES = 500, 20000


@dataclass(frozen=True)
class Upset(Reciprocal):
    """A reciprocal whose table holds other ``entries``."""

    entries: tuple[int, ...] = ()

    @property
    def table(self) -> tuple[int, ...]:
        """What the memory holds now."""
        return self.entries


class Flips:
    """Turns bits over, each with the probability that ``rates`` has for its place, from one seed.

    Parameters
    ----------
    rates : place -> probability; 0 where there is none
    only : (place, int), optional
        Besides, that bit of all of this place, by its number.
    """

    def __init__(self, rates: Mapping[str, float], seed: int, only: tuple[str, int] | None = None) -> None:
        self._rates, self._rng, self._only = rates, np.random.default_rng(seed), only
        #: Bits seen, and turned over, by place.
        self.bits, self.flipped = dict[str, int](), dict[str, int]()

    def __call__(self, place: str, codes: Array, fmt: Format) -> Array:
        """The codes, int64, of a place after it has been there."""
        seen, rate = self.bits.get(place, 0), self._rates.get(place, 0.0)
        turned: Array = np.zeros((*codes.shape, fmt.width), bool)
        if rate:
            turned |= self._rng.random(turned.shape, np.float32) < rate
        if self._only is not None and self._only[0] == place and 0 <= self._only[1] - seen < turned.size:
            turned.flat[self._only[1] - seen] = True
        self.bits[place] = seen + turned.size
        if not turned.any():
            return codes
        self.flipped[place] = self.flipped.get(place, 0) + int(turned.sum())
        return wrapped(codes ^ (turned << np.arange(fmt.width)).sum(-1), fmt)


def wrapped(codes: Array, fmt: Format) -> Array:
    """Integers as a register of that format keeps them: its lowest bits."""
    low = codes & (1 << fmt.width) - 1
    return low - ((low > fmt.max).astype(np.int64) << fmt.width) if fmt.signed else low


def _layer(layer: Layer, flip: Flips) -> Layer:
    """The layer with what its memories hold by now."""

    def held(place: str, codes: Array, fmt: Format) -> Array:
        return flip(place, codes.astype(np.int64), fmt).astype(codes.dtype)

    inhibition = Format(layer.inhibition_bits)
    w_ee, w_ie = (held("synapses", w, layer.synapse) for w in (layer.w_ee, layer.w_ie))
    upset = replace(layer, w_ee=w_ee, w_ie=w_ie, w_ei=held("synapses", layer.w_ei, inhibition))
    if (n := layer.neurons) is None:
        return upset
    assert n.reciprocal is not None
    table = n.reciprocal
    entries = held("reciprocals", np.array(table.table), Format(table.bits))
    own = replace(
        n,
        g_i=held("gains and biases", n.g_i, Format(n.gain_i_bits)),
        g_e=held("gains and biases", n.g_e, Format(n.gain_e_bits)),
        b_e=held("gains and biases", n.b_e, n.membrane),
        reciprocal=Upset(table.index_bits, table.bits, tuple(entries.tolist())),
    )
    return replace(upset, neurons=own)


def _currents(layer: Layer, widths: LayerWidths, neurons: Neurons, bal: Array, i_ie: Array) -> Tensor:
    assert widths.d is not None and neurons.reciprocal is not None
    d = wrapped(i_ie @ (layer.w_ei.astype(np.int64) * neurons.g_i).T, widths.d)
    divisor = stabilise(torch.from_numpy(d).double()[..., None, None, :], neurons.floor)[..., 0, 0, :]
    gains = torch.from_numpy(neurons.g_e.astype(np.int64)), torch.from_numpy(neurons.b_e.astype(np.int64))
    return divide(torch.from_numpy(bal).double(), divisor, *gains, neurons.shift, neurons.reciprocal, neurons.membrane)


def _spikes(currents: Tensor, steps: int, neurons: Neurons, flip: Flips) -> Array:
    """(steps, samples, neurons) of currents (steps or 1, samples, neurons)."""
    currents = currents.to(state_dtype(neurons.membrane, neurons.leak)).expand(steps, -1, -1)
    v, spikes = torch.zeros_like(currents[0]), []
    for current in currents:
        held = flip("membranes", v.long().numpy(), neurons.membrane)
        dynamics = (neurons.membrane, neurons.tau_shift, neurons.theta, neurons.leak, neurons.reset)
        _, spike, v = lif_step(torch.from_numpy(held).to(v.dtype), current, *dynamics)
        spikes.append(spike.long().numpy())
    return np.stack(spikes)


def logits(network: IntegerNetwork, codes: Array, flip: Flips) -> Array:
    """Of each sample (samples, features), by hardware of the unharmed network's widths: sums wrap there.

    Layers are fully connected and have inhibition.
    """
    x = codes[None].astype(np.int64)
    for whole, widths in zip(network.layers, network_widths(network), strict=True):
        layer = _layer(whole, flip)
        w_ee, w_ie, w_ei = (w.astype(np.int64).T for w in (layer.w_ee, layer.w_ie, layer.w_ei))
        i_ee = flip("accumulators", wrapped(x @ w_ee, widths.i_ee), widths.i_ee)
        i_ie = flip("accumulators", wrapped(x @ w_ie, widths.i_ie), widths.i_ie)
        bal = wrapped(layer.a * i_ee - i_ie @ w_ei, widths.bal)
        if layer.neurons is not None:
            x = _spikes(_currents(layer, widths, layer.neurons, bal, i_ie), network.steps, layer.neurons, flip)
    assert widths.logit is not None
    return wrapped(bal.sum(0), widths.logit)


def classes(logits: Array) -> Array:
    """The largest of each sample's."""
    return first_argmax(torch.from_numpy(logits)).numpy()


def accuracy(network: IntegerNetwork, codes: Array, labels: Array, flip: Flips) -> float:
    """In percent."""
    return 100 * float((classes(logits(network, codes, flip)) == labels).mean())


def rate_table(network: IntegerNetwork, codes: Array, labels: Array, bits: Mapping[str, int]) -> Curves:
    """Prints accuracy for each place and rate, mean and least of all trials; returns the means over the exponents."""
    places = (*MEMORIES, *STATE)
    print(f"| rate | {' | '.join(f'{place} ({bits[place]:,} bits)' for place in places)} |")
    print(f"|{' --- |' * (1 + len(places))}")
    curves: Curves = {place: [] for place in places}
    for rate in RATES:
        cells = []
        for place in places:
            found = [accuracy(network, codes, labels, Flips({place: rate}, seed)) for seed in range(TRIALS)]
            cells.append(f"{np.mean(found):.2f} ({min(found):.2f})")
            curves[place].append((float(np.log10(rate)), float(np.mean(found))))
        print(f"| {rate:g} | {' | '.join(cells)} |", flush=True)
    return curves


def single_table(network: IntegerNetwork, codes: Array, labels: Array, bits: Mapping[str, int]) -> None:
    """Prints what one wrong bit of a memory does: all of the bits, or a random choice."""
    whole = logits(network, codes, Flips({}, 0))
    right = 100 * float((classes(whole) == labels).mean())
    print("| memory | bits tried | change no logit | change no class | largest loss, points | mean loss |")
    print("|" + " --- |" * 6)
    for place in MEMORIES:
        tried = np.random.default_rng(0).permutation(bits[place])[:SINGLES]
        found = [logits(network, codes, Flips({}, 0, (place, int(bit)))) for bit in tried]
        unseen = np.mean([bool((each == whole).all()) for each in found])
        silent = np.mean([bool((classes(each) == classes(whole)).all()) for each in found])
        losses = [right - 100 * float((classes(each) == labels).mean()) for each in found]
        shares = f"{100 * unseen:.1f} % | {100 * silent:.1f} %"
        print(f"| {place} | {len(tried)} | {shares} | {max(losses):.2f} | {np.mean(losses):.3f} |", flush=True)


def image_table(network: IntegerNetwork) -> None:
    """Prints how many damaged load images, of those tried, pass the CRC or the header."""
    foldings = default_foldings(network)
    words = load_words(Network(network, foldings, shape=network).engines)
    image = np.frombuffer(image_of_words(fingerprint(network, foldings), words), np.uint8)
    rng = np.random.default_rng(0)
    print(f"\nload image of {len(image):,} bytes\n\n| wrong bits | images | not noticed |\n| --- | --- | --- |")
    for count in (1, 2, 3, 10, 100):
        missed = 0
        for _ in range(IMAGES):
            places = rng.choice(8 * len(image), count, replace=False)
            damaged = np.unpackbits(image, bitorder="little")
            damaged[places] ^= 1
            data = np.packbits(damaged, bitorder="little").tobytes()
            missed += zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")
        print(f"| {count} | {IMAGES:,} | {missed} |", flush=True)


_MEMORY = """module top(input clk, input [{address}:0] a, output reg [{word}:0] q, output reg wrong);
  reg [{stored}:0] m [0:{last}];
  reg [{stored}:0] r;
  initial $readmemh("m.mem", m);
  always @(posedge clk) begin
    r <= m[a];
    q <= r[{word}:0];
    wrong <= {check};
  end
endmodule
"""


def memory_cells(depth: int, width: int, *, parity: bool, folder: Path) -> Mapping[str, int]:
    """Cells on an ECP5 of a read-only memory with a register behind it, and with a parity bit that is checked."""
    folder.mkdir(parents=True, exist_ok=True)
    stored, rng = width + parity, np.random.default_rng(0)
    rows = [int.from_bytes(rng.bytes(-(-stored // 8)), "little") % (1 << stored) for _ in range(depth)]
    (folder / "m.mem").write_text("".join(f"{row:x}\n" for row in rows))
    sizes = {"address": (depth - 1).bit_length() - 1, "word": width - 1, "stored": stored - 1, "last": depth - 1}
    (folder / "top.v").write_text(_MEMORY.format(**sizes, check="wrong | ^r" if parity else "1'b0"))
    script = "read_verilog top.v; synth_ecp5 -top top; tee -q -o cells.json stat -json"
    with Runner() as runner:
        if runner.run(find_tool("yosys"), ["-p", script], folder, folder / "yosys.log"):
            raise RuntimeError(f"yosys failed: see {folder / 'yosys.log'}")
    return parse_cells((folder / "cells.json").read_text())


def parity_table(shapes: Sequence[tuple[str, int, int]], folder: Path) -> None:
    """Prints the cells of memories with and without a parity bit for each row."""
    kinds = {"BRAM": ("DP16KD",), "LUT": ("LUT4",), "PFUMX, L6MUX21": ("PFUMX", "L6MUX21"), "FF": ("TRELLIS_FF",)}
    print(f"\n| memory | rows x bits | parity | {' | '.join(kinds)} |\n|{' --- |' * (3 + len(kinds))}")
    for name, depth, width in shapes:
        for parity in (False, True):
            cells = memory_cells(depth, width, parity=parity, folder=folder / f"{name}-{int(parity)}".replace(" ", "-"))
            counts = [sum(cells.get(cell, 0) for cell in each) for each in kinds.values()]
            shown = " | ".join(f"{count:,}" for count in counts)
            print(f"| {name} | {depth} x {width} | {'yes' if parity else 'no'} | {shown} |", flush=True)


def digits() -> tuple[IntegerNetwork, Dataset]:
    """The network of configs/digits.toml, trained and quantised unless it has been, and its data."""
    config = load_config(ROOT / "configs" / "digits.toml")
    run, data = ROOT / "runs" / config.name, load(config.data.name)
    path = run / f"{config.name}.safetensors"
    if not path.exists():
        with progress_bars() as progress:
            train(config, data, run, progress)
        quantise_run(run, path)
    return load_network(path), data


def main() -> None:
    """Prints the tables, and writes the figure."""
    network, data = digits()
    codes, labels, folder = network.input.encode(data.x_test), data.y_test, ROOT / "runs" / "soft-errors"
    count = Flips({}, 0)
    if not np.array_equal(logits(network, codes, count), GoldenModel(network).run(codes).logits):
        raise AssertionError("without an error, the model of errors is not the golden model")
    print(f"{network.name}: {accuracy(network, codes, labels, Flips({}, 0)):.2f} % without an error\n")
    bits = {place: seen // (1 if place in MEMORIES else len(codes)) for place, seen in count.bits.items()}
    curves = rate_table(network, codes, labels, bits)
    print()
    single_table(network, codes, labels, bits)
    image_table(network)
    parity_table([("digits 64-128-10", 64, 320), ("MNIST 784-128-10", 784, 320)], folder)
    folder.mkdir(parents=True, exist_ok=True)
    chart = lines("digits: test accuracy, %", "rate of a wrong bit: 10^x", curves, from_zero=True)
    (folder / "soft-errors.svg").write_text(standalone(chart))
    print(f"\nfigure: {folder / 'soft-errors.svg'}")


if __name__ == "__main__":
    with exit_on_error():
        main()
