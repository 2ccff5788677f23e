"""The coefficients of the area model (hw/area.py): synthesises random designs, fits on half of them, tries the others.

``area.py 90`` makes what is missing of the designs 0..89 in runs/area, a file each, and may be interrupted.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from pprint import pprint
from typing import Any, Literal

import numpy as np
from sklearn.linear_model import LinearRegression

from hw.area import Coefficients, stages, total
from hw.folding import Folding, check_foldings, cycles_range, foldings_for, most_events, row_synapses
from hw.netlist import cells_by_stage, stage_of
from hw.synthesis import SHELL, packed_usage
from quant.errors import ChandelierError
from quant.files import write_json
from quant.formats import Format
from quant.network import Input, IntegerNetwork, Layer, Neurons, signed_tensors
from quant.reciprocal import Reciprocal
from quant.widths import network_widths

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "area"
DEVICE = "ecp5-85f"
#: Bits of all currents, and products of the population units: larger designs would take yosys minutes.
MOST_BITS, MOST_PRODUCTS = 4000, 64
#: How strongly coefficients are held near one, by the size of what they multiply.
PRIOR = 0.3
#: Designs for a rate are at most so many times as slow as the fastest one.
FASTEST = 10


def _between(rng: np.random.Generator, low: int, high: int) -> int:
    """Of ``low..high``, each factor of two as likely as another."""
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def _codes(rng: np.random.Generator, shape: tuple[int, int], bits: int) -> np.ndarray:
    """Unsigned codes of which a share is zero, as trained ones are."""
    return (rng.integers(0, 1 << bits, shape) * (rng.random(shape) < rng.uniform(0.3, 1))).astype(np.uint8)


def _neurons(rng: np.random.Generator, n_e: int, n_i: int) -> Neurons:
    gain_i_bits, gain_e_bits = int(rng.integers(1, 5)), int(rng.integers(4, 11))
    width = int(rng.integers(10, 19))
    membrane = Format(width, width - 10, signed=True)
    equal = gain_i_bits == 1 or rng.random() < 0.4
    index_bits = int(rng.integers(3, 6))
    return Neurons(
        g_i=(np.ones(n_i) if equal else rng.integers(1, 1 << gain_i_bits, n_i)).astype(np.uint8),
        g_e=rng.integers(1 << (gain_e_bits - 1), 1 << gain_e_bits, n_e).astype(np.uint16),
        b_e=rng.integers(-(1 << (width - 6)), 1 << (width - 6), n_e).astype(np.int32),
        gain_i_bits=gain_i_bits,
        gain_e_bits=gain_e_bits,
        shift=int(rng.integers(2, 12)),
        reciprocal=Reciprocal(index_bits, index_bits + int(rng.integers(3, 6))) if n_i else None,
        membrane=membrane,
        tau_shift=int(rng.integers(1, 4)),
        theta=1 << membrane.frac,
        floor=int(rng.integers(1, 50)) if n_i and rng.random() < 0.2 else 0,
    )


def _network(rng: np.random.Generator, name: str) -> IntegerNetwork:
    sizes = [_between(rng, 16, 784), *(_between(rng, 16, 256) for _ in range(int(rng.integers(1, 3)))), 10]
    alike, plain, ratio = rng.random() < 0.5, rng.random() < 0.08, int(rng.integers(2, 9))
    layers = []
    for i, (d, n_e) in enumerate(pairwise(sizes)):
        n_i = 0 if plain else max(1, n_e // ratio)
        bits, inhibition_bits = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        w_ei = _codes(rng, (n_e, n_i), inhibition_bits)
        tensors: dict[str, Any] = {
            "w_ee": _codes(rng, (n_e, d), bits),
            "w_ie": _codes(rng, (n_i, d), bits),
            "w_ei": np.repeat(np.maximum(w_ei[:1], 1), n_e, axis=0) if alike and n_i else w_ei,
        }
        if plain:
            bits = max(2, bits)
            tensors = signed_tensors((_codes(rng, (n_e, d), bits).astype(np.int16) - (1 << (bits - 1))).astype(np.int8))
        neurons = _neurons(rng, n_e, n_i) if i < len(sizes) - 2 else None
        layers.append(
            Layer(**tensors, a=max(1, n_i), synapse_bits=bits, inhibition_bits=inhibition_bits, neurons=neurons)
        )
    kind: Literal["static", "sequence"] = "static" if rng.random() < 0.75 else "sequence"
    return IntegerNetwork(name, Input(sizes[0], int(rng.integers(1, 9)), kind), tuple(layers), _between(rng, 1, 8), 1.0)


def _lanes(rng: np.random.Generator, network: IntegerNetwork) -> tuple[Folding, ...]:
    """Lanes for a random rate, or of each stage alone."""
    if rng.random() < 0.5:
        fewest, most = cycles_range(network)
        return foldings_for(network, _between(rng, fewest, min(most, FASTEST * fewest)))
    foldings = []
    for i, layer in enumerate(network.layers):
        row = row_synapses(layer)
        several = int(rng.integers(1, most_events(network, i) + 1)) if rng.random() < 0.25 else 1
        synapses = several * row if several > 1 else -(-row // _between(rng, 1, 32))
        foldings.append(Folding(synapses, _between(rng, 1, max(1, layer.n_i)), _between(rng, 1, layer.n_e)))
    return tuple(foldings)


def design(seed: int) -> tuple[IntegerNetwork, tuple[Folding, ...]]:
    """A random design; the seed decides all."""
    rng = np.random.default_rng(seed)
    while True:
        network = _network(rng, f"area{seed}")
        try:
            foldings = _lanes(rng, network)
            check_foldings(network, foldings)
        except ChandelierError:
            continue
        bits = sum(
            layer.n_e * widths.i_ee.width + layer.n_i * widths.i_ie.width
            for layer, widths in zip(network.layers, network_widths(network), strict=True)
        )
        products = sum(f.population_lanes * f.neuron_lanes + f.neuron_lanes for f in foldings)
        if bits <= MOST_BITS and products <= MOST_PRODUCTS and max(f.synapse_lanes for f in foldings) <= 400:
            return network, foldings


def _carry_ends(netlist: Path) -> Counter[str]:
    """By stage, where carries come from or go to look-up tables: nextpnr puts two look-up tables there."""
    cells = json.loads(netlist.read_text(encoding="utf-8"))["modules"][SHELL]["cells"]
    carries = {name: cell["connections"] for name, cell in cells.items() if cell["type"] == "CCU2C"}
    continued = {pins["CIN"][0] for pins in carries.values()}
    begun = {pins["COUT"][0] for pins in carries.values()}
    read = {
        bit
        for cell in cells.values()
        for port, bits in cell["connections"].items()
        if cell["port_directions"].get(port) == "input" and port != "CIN"
        for bit in bits
    }
    ends: Counter[str] = Counter()
    for name, pins in carries.items():
        out = pins["COUT"][0]
        ends[stage_of(name)] += (pins["CIN"][0] not in begun) + (out not in continued or out in read)
    return ends


def measure(seed: int) -> None:
    """Synthesises and packs a design, and writes what it takes, in all and by stage, to ``runs/area/SEED.json``."""
    network, foldings = design(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
        folder = Path(scratch) / "design"
        folder.mkdir()
        usage = packed_usage(network, folder, device=DEVICE, foldings=foldings)
        netlist = folder / f"{SHELL}.json"
        stages = cells_by_stage(netlist, SHELL)
        for stage, ends in _carry_ends(netlist).items():
            stages[stage]["carry ends"] = ends
    found = {kind: one.used for kind, one in usage.items()}
    write_json(RUNS / f"{seed}.json", {"usage": found, "stages": stages})
    print(f"design {seed}: {found}, {time.monotonic() - began:.0f} s", flush=True)


#: Of a coefficient: the kind of stage, and what it multiplies.
_Name = tuple[str, str]
#: Kinds of stages whose cells yosys mixes up: it leaves some of the accumulator's without its name.
_MIXED = ("accumulator", "shell")


@dataclass
class _Row:
    """One or more stages of a design: features by kind and name, and what was counted, relative to the design."""

    luts: Counter[_Name] = field(default_factory=Counter)
    ffs: Counter[_Name] = field(default_factory=Counter)
    counted_luts: float = 0.0
    counted_ffs: float = 0.0


def _rows(seed: int) -> dict[tuple[str, ...], list[_Row]]:
    """The rows of a design, by the kinds of stages that they are of; without memories in look-up tables."""
    measured = json.loads((RUNS / f"{seed}.json").read_text(encoding="utf-8"))
    weights = 1000 / measured["usage"]["LUT"], 1000 / measured["usage"]["FF"]
    mixed, rows = _Row(), dict[tuple[str, ...], list[_Row]]()
    for stage in stages(*design(seed)):
        row = mixed if stage.kind in _MIXED else _Row()
        rows.setdefault(_MIXED if row is mixed else (stage.kind,), []).append(row)
        cells = measured["stages"].get(stage.name, {})
        luts = cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0) + 2 * cells.get("carry ends", 0)
        row.luts.update({(stage.kind, name): weights[0] * bits for name, bits in stage.luts.items()})
        row.ffs.update({(stage.kind, name): weights[1] * bits for name, bits in stage.ffs.items()})
        row.counted_luts += weights[0] * luts
        row.counted_ffs += weights[1] * cells.get("TRELLIS_FF", 0)
    return rows | {_MIXED: [mixed]}


def _solved(
    features: Sequence[Mapping[tuple[str, str], float]], counts: Sequence[float]
) -> dict[tuple[str, str], float]:
    """Coefficients, none negative, with the least squared errors."""
    names = list(dict.fromkeys(name for one in features for name in one))
    matrix = np.array([[one.get(name, 0.0) for name in names] for one in features])
    # Features are counted in cells: what the designs say little about stays near one.
    prior = np.diag(PRIOR * np.linalg.norm(matrix, axis=0))
    wanted = np.concatenate([counts, prior.sum(axis=0)])
    model = LinearRegression(positive=True, fit_intercept=False).fit(np.concatenate([matrix, prior]), wanted)
    return {name: round(float(c), 2) for name, c in zip(names, model.coef_, strict=True)}


def _fitted(seeds: Sequence[int]) -> tuple[Coefficients, Coefficients]:
    """The coefficients for look-up tables and for flip-flops."""
    rows: dict[tuple[str, ...], list[_Row]] = {}
    for seed in seeds:
        for kinds, own in _rows(seed).items():
            rows.setdefault(kinds, []).extend(own)
    luts, ffs = dict[str, dict[str, float]](), dict[str, dict[str, float]]()
    for own in rows.values():
        for (kind, name), c in _solved([r.luts for r in own], [r.counted_luts for r in own]).items():
            luts.setdefault(kind, {})[name] = c
        for (kind, name), c in _solved([r.ffs for r in own], [r.counted_ffs for r in own]).items():
            ffs.setdefault(kind, {})[name] = c
    return luts, ffs


def _errors(seeds: Sequence[int], luts: Coefficients, ffs: Coefficients) -> dict[str, np.ndarray]:
    """Relative errors of each design; of block memories and multipliers as differences."""
    errors: dict[str, list[float]] = {kind: [] for kind in ("LUT", "FF", "BRAM", "DSP")}
    for seed in seeds:
        usage = json.loads((RUNS / f"{seed}.json").read_text(encoding="utf-8"))["usage"]
        area = total(stages(*design(seed)), luts, ffs)
        for kind, estimated in (("LUT", area.luts), ("FF", area.ffs), ("BRAM", area.brams), ("DSP", area.dsps)):
            errors[kind].append((estimated - usage[kind]) / max(1, usage[kind]))
    return {kind: np.array(found) for kind, found in errors.items()}


def main() -> None:
    """Measures what is missing, fits on the even designs, and prints the coefficients and the errors on the others."""
    RUNS.mkdir(parents=True, exist_ok=True)
    count = int(sys.argv[1])
    for seed in range(count):
        if not (RUNS / f"{seed}.json").exists():
            measure(seed)
    fitted = _fitted(range(0, count, 2))
    pprint(fitted, width=120, compact=True, sort_dicts=False)
    for what, seeds in (("fitted", range(0, count, 2)), ("unseen", range(1, count, 2))):
        for kind, errors in _errors(seeds, *fitted).items():
            size = np.abs(errors)
            print(
                f"{what}, {len(seeds)} designs, {kind}: mean error {100 * size.mean():.1f} %, largest "
                f"{100 * size.max():.1f} %, exact {(size == 0).sum()}, mean bias {100 * errors.mean():+.1f} %"
            )


main()
