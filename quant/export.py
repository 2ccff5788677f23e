"""Export: the integers of a network as memory images, arrays, a C header, or JSON."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from quant.files import replacing, replacing_directory
from quant.formats import Format
from quant.network import Array, IntegerNetwork
from quant.widths import network_widths

__all__ = ["FORMATS", "export", "tensors"]


def tensors(network: IntegerNetwork) -> Iterator[tuple[str, Array, Format]]:
    """Every tensor of a network: its name (``layers_0_w_ee``), its integers, the format of one of them."""
    for i, layer in enumerate(network.layers):
        yield f"layers_{i}_w_ee", layer.w_ee, layer.synapse
        if layer.n_i:
            yield f"layers_{i}_w_ie", layer.w_ie, layer.synapse
            yield f"layers_{i}_w_ei", layer.w_ei, Format(layer.inhibition_bits)
        if (neurons := layer.neurons) is None:
            continue
        if (reciprocal := neurons.reciprocal) is not None:
            yield f"layers_{i}_g_i", neurons.g_i, Format(neurons.gain_i_bits)
            yield f"layers_{i}_reciprocal", np.array(reciprocal.table, dtype=np.uint32), Format(reciprocal.bits)
        yield f"layers_{i}_g_e", neurons.g_e, Format(neurons.gain_e_bits)
        yield f"layers_{i}_b_e", neurons.b_e, neurons.membrane


def _scalars(network: IntegerNetwork) -> dict[str, object]:
    """Everything that is not a tensor, as plain JSON values."""
    layers = []
    for i, (layer, widths) in enumerate(zip(network.layers, network_widths(network), strict=True)):
        entry: dict[str, object] = {"n_e": layer.n_e, "n_i": layer.n_i, "d": layer.d, "a": layer.a}
        shape, output = network.maps[i]
        window = layer.wiring.window
        entry |= {"sources": layer.wiring.sources_of(i), "pool": layer.wiring.pool}
        entry |= {"input_map": shape, "output_map": output, "window": window and vars(window)}
        if (n := layer.neurons) is not None:
            entry |= {"shift": n.shift, "tau_shift": n.tau_shift, "theta": n.theta, "membrane": str(n.membrane)}
            entry |= {"floor": n.floor, "leak": n.leak, "reset": n.reset}
        if n is not None and n.reciprocal is not None:
            entry |= {"reciprocal_index_bits": n.reciprocal.index_bits, "reciprocal_bits": n.reciprocal.bits}
        entry["widths"] = {name: str(fmt) for name, fmt in vars(widths).items() if fmt is not None}
        layers.append(entry)
    return {
        "name": network.name,
        "input": vars(network.input) | {"shape": network.input.map},
        "steps": network.steps,
        "classes": network.classes,
        "logit_scale": network.logit_scale,
        "layers": layers,
    }


def _write_mem(network: IntegerNetwork, path: Path) -> None:
    """A folder with a ``$readmemh`` image per tensor (row-major, one integer a line) and ``network.json``."""
    with replacing_directory(path, r"layers_\d+_\w+\.mem|network\.json") as folder:
        for name, array, fmt in tensors(network):
            digits, mask = -(-fmt.width // 4), (1 << fmt.width) - 1
            lines = (f"{int(value) & mask:0{digits}x}\n" for value in array.reshape(-1))
            (folder / f"{name}.mem").write_text("".join(lines))
        (folder / "network.json").write_text(json.dumps(_scalars(network), indent=2) + "\n")


def _write_npz(network: IntegerNetwork, path: Path) -> None:
    """One compressed .npz: the tensors, and the scalars as JSON text under ``network``."""
    arrays: dict[str, Any] = {name: array for name, array, _ in tensors(network)}
    arrays["network"] = np.array(json.dumps(_scalars(network)))
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _write_json(network: IntegerNetwork, path: Path) -> None:
    """One JSON document: the scalars, and every tensor with its format as nested lists."""
    values = {name: {"format": str(fmt), "values": array.tolist()} for name, array, fmt in tensors(network)}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(_scalars(network) | {"tensors": values}) + "\n")


def _c_type(fmt: Format) -> str:
    bits = next(bits for bits in (8, 16, 32) if fmt.width <= bits)
    return f"{'' if fmt.signed else 'u'}int{bits}_t"


def _c_array(name: str, array: Array, fmt: Format) -> str:
    shape = "".join(f"[{n}]" for n in array.shape)
    rows = array.reshape(-1, array.shape[-1])
    body = ",\n".join("  {" + ", ".join(str(int(v)) for v in row) + "}" for row in rows)
    if array.ndim == 1:
        body = "  " + body.strip(" {}")
    size = " x ".join(map(str, array.shape))
    return f"/* {fmt}, {size} */\nstatic const {_c_type(fmt)} {name}{shape} = {{\n{body}\n}};\n"


def _write_c_header(network: IntegerNetwork, path: Path) -> None:
    """A C99 header: scalars as macros, tensors as static const arrays."""
    scalars = _scalars(network)
    guard = "CHANDELIER_" + "".join(c if c.isalnum() else "_" for c in network.name).upper() + "_H"
    lines = [f"/* Integer E-I spiking network {network.name}: see docs/numerics.md of Chandelier. */"]
    lines += [f"#ifndef {guard}", f"#define {guard}", "#include <stdint.h>", ""]
    lines += [f"#define NETWORK_{key.upper()} {scalars[key]}" for key in ("steps", "classes")]
    lines += [f"#define NETWORK_LAYERS {len(network.layers)}", f"#define INPUT_FEATURES {network.input.features}"]
    lines += [f"#define INPUT_BITS {network.input.bits}", f"#define LOGIT_SCALE {network.logit_scale!r}"]
    for i, layer in enumerate(scalars["layers"]):  # type: ignore[var-annotated, arg-type]
        macros = ((key, value) for key, value in layer.items() if isinstance(value, int))
        lines += ["", *(f"#define LAYERS_{i}_{key.upper()} {value}" for key, value in macros)]
    arrays = (_c_array(name, array, fmt) for name, array, fmt in tensors(network))
    with replacing(path) as temporary:
        temporary.write_text("\n".join([*lines, "", *arrays, f"#endif /* {guard} */\n"]))


#: Name of each format, the suffix of what it writes (a folder for ``mem``), and the writer.
FORMATS: dict[str, tuple[str, Callable[[IntegerNetwork, Path], None]]] = {
    "mem": ("-mem", _write_mem),
    "npz": (".npz", _write_npz),
    "c-header": (".h", _write_c_header),
    "json": (".json", _write_json),
}


def export(network: IntegerNetwork, fmt: str, path: Path) -> None:
    """Writes ``network`` to ``path`` in the format called ``fmt``, a key of :data:`FORMATS`.

    Raises
    ------
    ChandelierError
        If the network does not fit the arithmetic, or the file system refuses.
    """
    FORMATS[fmt][1](network, path)
