"""Every accuracy in docs/results.md: trains what is missing in runs/figures, and prints the tables.

An interrupted session goes on where it was. ``figures.py digits mnist`` makes only the tables whose names are given.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from quant.quantisers import Scheme
from sw.batches import input_of
from sw.config import Config, load_config
from sw.console import exit_on_error, progress_bars
from sw.data import get, is_available, load
from sw.training import accuracy, load_run_network, train

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "figures"


@dataclass(frozen=True)
class Result:
    """Accuracies in percent after each phase (``None`` if there was no such phase), and seconds of training."""

    floating: float | None
    quantised: float | None
    seconds: float


def variant(config: Config, name: str, **changes: dict[str, Any] | int) -> Config:
    """``config`` under another name, with some keys of some sections changed."""
    values = config.model_dump()
    for section, change in changes.items():
        values[section] = values[section] | change if isinstance(change, dict) else change
    return Config.model_validate(values | {"name": name})


def result(config: Config) -> Result:
    """Trains, unless it has been done, and returns what came of it."""
    if not is_available(config.data.name):
        get(config.data.name)
    with progress_bars() as progress:
        metrics: list[dict[str, Any]] = train(config, load(config.data.name), RUNS / config.name, progress)
    last = {line["phase"]: 100 * line["test_accuracy"] for line in metrics}
    return Result(last.get("float"), last.get("quantised"), sum(line["seconds"] for line in metrics))


def cell(value: float | None) -> str:
    """A percentage, or a dash."""
    return "-" if value is None else f"{value:.2f}"


def row(label: str, r: Result) -> str:
    """A line of a table."""
    return f"| {label} | {cell(r.floating)} | {cell(r.quantised)} | {r.seconds:.0f} |"


TABLE_KEYS = ("reciprocal_index_bits", "reciprocal_bits")
HEAD = "| | float, % | quantised, % | training, s |\n| --- | --- | --- | --- |"


def digits() -> Iterator[str]:
    """Five seeds, and their mean."""
    config = load_config(ROOT / "configs" / "digits.toml")
    yield HEAD
    results = []
    for seed in range(5):
        results.append(result(variant(config, f"digits-seed{seed}", seed=seed)))
        yield row(f"digits 64-128-10, 2-bit synapses, T = 4, seed {seed}", results[-1])
    means = (mean(r.floating or 0 for r in results), mean(r.quantised or 0 for r in results))
    yield row("**mean of 5 seeds**", Result(*means, mean(r.seconds for r in results)))


def mnist() -> Iterator[str]:
    """The networks of the configurations, and 784-128-10 with and without augmentation and with one-bit inputs."""
    yield HEAD
    small = load_config(ROOT / "configs" / "mnist-128.toml")
    for bits, threshold in ((8, 0.5), (1, 0.4)):
        for augment in ("none", "affine"):
            data = {"bits": bits, "threshold": threshold, "augment": augment}
            name = f"mnist-128-{bits}bit{'-augmented' if augment != 'none' else ''}"
            label = f"784-128-10, T = 2, {bits}-bit inputs, {'without' if augment == 'none' else 'with'} augmentation"
            yield row(label, result(variant(small, name, data=data)))
    for name in ("mnist-256-1bit", "mnist-mlp"):
        config = load_config(ROOT / "configs" / f"{name}.toml")
        shape = "-".join(map(str, [784, *config.network.hidden, 10]))
        label = f"{shape}, T = {config.network.steps}, {config.data.bits}-bit inputs, with augmentation"
        yield row(label, result(config))


#: What an ablation switches off, by its name.
PARTS: dict[str, dict[str, Any]] = {
    "none": {},
    "init": {"init": False},
    "stabilisation": {"stabilisation": "none"},
    "straight_through": {"straight_through": False},
    "gradient_scaling": {"gradient_scaling": False},
}


def ablations() -> Iterator[str]:
    """E-I Init and the parts of E-I Prop, each switched off: in floating point, ten epochs, no augmentation."""
    small = load_config(ROOT / "configs" / "mnist-128.toml")
    deep = load_config(ROOT / "configs" / "mnist-mlp.toml")
    yield HEAD
    for label, base in (("784-128-10, T = 2", small), ("784-256-128-10, T = 4", deep)):
        for part, off in PARTS.items():
            name = f"ablation-{base.name}-{part}"
            config = variant(
                base,
                name,
                data={"augment": "none"},
                ei=off,
                training={"epochs": 10},
                quantisation={"epochs": 0},
            )
            what = "everything on" if part == "none" else f"without {part}"
            try:
                yield row(f"{label}, {what}", result(config))
            except ValueError as error:
                yield f"| {label}, {what} | {error} | - | - |"


#: Bits of every tensor, from the widest that is sensible to the narrowest.
SCHEMES: dict[str, dict[str, Any]] = {
    name: dict(zip((*("inhibition_bits", "gain_i_bits", "gain_e_bits"), "membrane", *TABLE_KEYS), values, strict=True))
    for name, values in {
        "wide: w_ei 8, g_i 8, g_e 12, s14.10, table 256 x 12": (8, 8, 12, "s14.10", 8, 12),
        "w_ei 2, g_i 2, g_e 8, s10.6, table 16 x 8": (2, 2, 8, "s10.6", 4, 8),
        "w_ei 2, g_i 2, g_e 6, s8.4, table 4 x 5": (2, 2, 6, "s8.4", 2, 5),
        "w_ei 1, g_i 1, g_e 6, s8.4, table 4 x 5": (1, 1, 6, "s8.4", 2, 5),
    }.items()
}


def bits() -> Iterator[str]:
    """What the bits of each tensor are worth: 784-128-10, T = 2, 8-bit inputs, quantisation-aware from E-I Init."""
    small = load_config(ROOT / "configs" / "mnist-128.toml")
    base = SCHEMES["w_ei 2, g_i 2, g_e 8, s10.6, table 16 x 8"]
    variants: dict[str, dict[str, Any]] = {"w_ee, w_ie 2, w_ei 2, g_i 2, g_e 8, s10.6, table 16 x 8": {}}
    variants |= {f"synapses of {b} bits": {"synapse_bits": b} for b in (1, 3, 4, 8)}
    variants |= {f"inhibition of {b} bits": {"inhibition_bits": b} for b in (1, 4, 8)}
    variants |= {f"g_i of {b} bits": {"gain_i_bits": b} for b in (1, 4, 8)}
    variants |= {f"g_e of {b} bits": {"gain_e_bits": b} for b in (4, 6, 12)}
    tables = ((0, 2), (2, 5), (6, 10), (8, 12))
    variants |= {f"table of {2**k} x {p} bits": {"reciprocal_index_bits": k, "reciprocal_bits": p} for k, p in tables}
    variants |= {f"membrane {m}": {"membrane": m} for m in ("s6.3", "s8.4", "s8.5", "s14.10")}
    variants |= {"learned step": {"step": "learned"}}
    yield HEAD
    for label, change in variants.items():
        name = "bits-" + "".join(c if c.isalnum() else "-" for c in label)
        phases = {"training": {"epochs": 0}, "quantisation": base | change | {"epochs": 12}}
        yield row(label, result(variant(small, name, data={"augment": "none"}, **phases)))


def together() -> Iterator[str]:
    """All tensors narrow together, on two networks, quantisation-aware from E-I Init: means and ranges over seeds."""
    yield "| | 784-128-10, T = 2, 3 seeds | 784-256-128-10, T = 4, 2 seeds |\n| --- | --- | --- |"
    for scheme, change in SCHEMES.items():
        cells = []
        for name, seeds in (("mnist-128", 3), ("mnist-mlp", 2)):
            config = load_config(ROOT / "configs" / f"{name}.toml")
            label = "".join(c if c.isalnum() else "-" for c in scheme)
            phases = {"training": {"epochs": 0}, "quantisation": change | {"epochs": 12}}
            found = [
                result(
                    variant(config, f"together-{name}-{label}-{k}", seed=k, data={"augment": "none"}, **phases)
                ).quantised
                for k in range(seeds)
            ]
            cells.append(spread(found))
        yield f"| {scheme} | {' | '.join(cells)} |"


def after() -> Iterator[str]:
    """Quantised after training, without training any more: synapses of few and many bits, the other tensors of many."""
    bits = (2, 3, 4, 6, 8)
    yield f"| | float, % | {' | '.join(f'{b} bits' for b in bits)} |\n| --- |{' --- |' * (1 + len(bits))}"
    for name in ("mnist-128", "mnist-128-global", "mnist-mlp"):
        config = load_config(ROOT / "configs" / f"{name}.toml")
        config = variant(config, f"after-{name}", data={"augment": "none"}, quantisation={"epochs": 0})
        floating, dataset = result(config).floating, load(config.data.name)
        codes, cells = input_of(config, dataset).encode(dataset.x_test), [cell(floating)]
        for b in bits:
            network = load_run_network(config, dataset, RUNS / config.name, "float")
            scheme = Scheme(synapse_bits=b, inhibition_bits=8, gain_i_bits=8, gain_e_bits=12, step="wide")
            network.quantise(scheme)
            cells.append(cell(100 * accuracy(network, codes, dataset.y_test)))
        yield f"| {name} | {' | '.join(cells)} |"


def cnn() -> Iterator[str]:
    """The convolutional networks of the configurations, with both stabilisers."""
    yield HEAD
    for name in ("mnist-lenet", "fashion-lenet", "mnist1d-conv"):
        yield row(f"{name}, adaptive stabilisation", result(load_config(ROOT / "configs" / f"{name}.toml")))
    for name in ("mnist1d-conv", "mnist-lenet"):
        config = load_config(ROOT / "configs" / f"{name}.toml")
        yield row(f"{name}, floor", result(variant(config, f"{name}-floor", ei={"stabilisation": "floor"})))


def spread(found: list[float | None]) -> str:
    """Mean and range of percentages."""
    values = [value for value in found if value is not None]
    return f"{mean(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def twins() -> Iterator[str]:
    """E-I networks and their batch-normalised twins, same training, three seeds: means and ranges."""
    yield "| | E-I, float, % | E-I, quantised, % | twin, float, % | twin, quantised, % |"
    yield "| --- | --- | --- | --- | --- |"
    shorter = {"training": {"epochs": 5}, "quantisation": {"epochs": 5}, "data": {"augment": "none"}}
    shortest = shorter | {"training": {"epochs": 2}, "quantisation": {"epochs": 2}}
    for name, changes in (
        ("digits", {}),
        ("mnist-128", shorter),
        ("mnist1d-conv", {}),
        ("mnist-lenet", shortest),
        ("fashion-lenet", shortest),
    ):
        config, cells = load_config(ROOT / "configs" / f"{name}.toml"), []
        for inhibition in ("divisive", "batch-norm"):
            network = {"inhibition": inhibition}
            runs = [
                result(variant(config, f"twin-{name}-{inhibition}-{k}", seed=k, network=network, **changes))  # type: ignore[arg-type]
                for k in range(3)
            ]
            cells += [spread([r.floating for r in runs]), spread([r.quantised for r in runs])]
        yield f"| {name} | {' | '.join(cells)} |"


def why() -> Iterator[str]:
    """What keeps activity in range, or nothing, at three depths: digits, floating point, three seeds."""
    depths = (1, 3, 6)
    yield f"| | {' | '.join(f'{depth} hidden' for depth in depths)} |"
    yield f"| --- |{' --- |' * len(depths)}"
    base, cells = load_config(ROOT / "configs" / "digits.toml"), list[str]()
    training = {"epochs": 10, "learning_rate": 0.02, "clip": 1.0}
    for inhibition in ("none", "batch-norm", "divisive"):
        for depth in depths:
            network = {"inhibition": inhibition, "hidden": [64] * depth}
            changes: dict[str, Any] = {"network": network, "training": training, "quantisation": {"epochs": 0}}
            runs = [result(variant(base, f"why-{inhibition}-{depth}-{k}", seed=k, **changes)) for k in range(3)]
            cells.append(spread([r.floating for r in runs]))
        yield f"| {inhibition} | {' | '.join(cells[-len(depths) :])} |"


TABLES = {"digits": digits, "mnist": mnist, "ablations": ablations, "bits": bits, "together": together}
TABLES |= {"after": after, "cnn": cnn, "twins": twins, "why": why}

if __name__ == "__main__":
    with exit_on_error():
        for table in sys.argv[1:] or TABLES:
            print(f"\n### {table}\n", flush=True)
            for line in TABLES[table]():
                print(line, flush=True)
