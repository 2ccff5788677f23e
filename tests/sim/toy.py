"""The toy design of ``toy.v``, its manifest and its golden model: what sim/ is tested on without any generated RTL."""

import hashlib
import json
from pathlib import Path

import numpy as np

from hw.manifest import Manifest

__all__ = ["WEIGHTS", "golden", "random_codes", "write_toy"]

#: What ``toy_weights.mem`` holds.
WEIGHTS = np.array([3, -5, 7, 0, -128, 127, -1, 64])
STEPS = 2


def _field(signal: str, offset: int, stride: int, width: int, signed: bool, lanes: int, neurons: int) -> dict:
    names = ("signal", "offset", "stride", "width", "signed", "lanes", "neurons")
    return dict(zip(names, (signal, offset, stride, width, signed, lanes, neurons), strict=True))


def _probe(layer: int, path: str, width: int, per: str, beats: int, fields: list[dict]) -> dict:
    nets = {net: f"{path}.o__{net}" for net in ("valid", "ready", "payload")}
    probe = {"layer": layer, "name": path, "path": path, "stream": "o", "width": width, "per": per, "beats": beats}
    return {**probe, **nets, "fields": fields}


def write_toy(folder: Path, name: str = "toy") -> Path:
    """Writes the toy design into ``folder`` and returns it; ``name`` takes the place of ``toy`` in every name."""
    folder.mkdir(parents=True, exist_ok=True)
    verilog = Path(__file__).with_name("toy.v").read_text().replace("toy", name)
    memory = "".join(f"{int(w) & 0xFF:02x}\n" for w in WEIGHTS)
    texts = {f"{name}.v": verilog, f"{name}_weights.mem": memory}
    for file, text in texts.items():
        (folder / file).write_text(text)
    layer = {
        "n_e": 3,
        "n_i": 1,
        "d": 8,
        "folding": {"synapse_lanes": 1, "population_lanes": 1, "neuron_lanes": 2},
        "cycles": {},
        "memory_bits": {},
    }
    manifest = {
        "generator": "by hand",
        "top": name,
        "network_sha256": "0" * 64,
        "files": {file: hashlib.sha256(text.encode()).hexdigest() for file, text in texts.items()},
        "input": {
            "features": 8,
            "bits": 3,
            "kind": "static",
            "steps": STEPS,
            "fields": [
                _field("index", 0, 3, 3, False, 1, 1),
                _field("value", 3, 3, 3, False, 1, 1),
                _field("last", 6, 1, 1, False, 1, 1),
            ],
            "width": 7,
        },
        "output": {
            "classes": 3,
            "fields": [_field("class", 0, 2, 2, False, 1, 1), _field("logits", 2, 20, 20, True, 3, 3)],
            "width": 62,
        },
        "layers": [layer, layer],
        "probes": [
            _probe(
                0,
                "adder",
                24,
                "sample",
                1,
                [_field("sum", 0, 8, 8, False, 1, 1), _field("moment", 8, 16, 16, True, 1, 1)],
            ),
            _probe(1, "unfolder", 36, "step", 2, [_field("bal", 0, 18, 18, True, 2, 3)]),
        ],
    }
    Manifest.model_validate_json(json.dumps(manifest)).write(folder)
    return folder


def random_codes(samples: int, seed: int) -> np.ndarray:
    """Input codes (samples, 8), a third of them zero, the first sample silent."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 8, (samples, 8)) * (rng.random((samples, 8)) < 0.67)
    codes[:1] = 0
    return codes.astype(np.uint8)


def golden(codes: np.ndarray) -> dict[tuple[int, str], np.ndarray]:
    """What the toy computes of ``codes``: (samples, sets, elements) of each signal."""
    x = codes.astype(np.int64)
    total, moment = x.sum(1), x @ WEIGHTS
    k, t = np.arange(3), np.arange(STEPS)[:, None]
    bal = moment[:, None, None] + k * total[:, None, None] + t
    return {
        (0, "sum"): total[:, None, None],
        (0, "moment"): moment[:, None, None],
        (1, "bal"): bal,
        (1, "logits"): bal.sum(1, keepdims=True),
        (1, "class"): (moment < 0).astype(np.int64)[:, None, None],
    }
