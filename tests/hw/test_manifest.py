"""The manifest: written and read back, and refused where it is not what it should be."""

import json
from pathlib import Path
from typing import Any

import pytest

from hw.folding import Folding
from hw.layouts import accumulator_layout, event_layout, frame_layout
from hw.manifest import FILE_NAME, Manifest, payload_fields
from hw.network import Network
from quant.errors import ChandelierError
from quant.formats import Format
from tests.random_networks import random_network


def _manifest() -> Manifest:
    network = random_network(4, largest=6)
    top = Network(network, [Folding(1, 1, 1)] * len(network.layers))
    return top.manifest(generator="chandelier", name="top", network_sha256="0" * 64, files={"top.v": "f" * 64})


def test_written_and_read_back(tmp_path: Path) -> None:
    manifest = _manifest()
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest


@pytest.mark.parametrize(
    ("where", "value", "complaint"),
    [
        (["version"], 2, "version"),
        (["format"], "elf", "format"),
        (["top"], "no identifier", "top"),
        (["files"], {"../up.v": "f" * 64}, "files"),
        (["files"], {"top.v": "not a hash"}, "files.top.v"),
        (["novelty"], 1, "novelty"),
        (["layers", 0, "n_e"], "8", "layers.0.n_e"),
        (["probes", 0, "layer"], 99, "which does not exist"),
        (["output", "fields", 0, "offset"], 10_000, "reaches beyond its payload"),
    ],
)
def test_what_is_wrong_is_named(where: list[Any], value: object, complaint: str, tmp_path: Path) -> None:
    _manifest().write(tmp_path)
    path = tmp_path / FILE_NAME
    content = json.loads(path.read_text())
    target = content
    for key in where[:-1]:
        target = target[key]
    target[where[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ChandelierError, match=complaint) as caught:
        Manifest.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_and_cut_short(tmp_path: Path) -> None:
    with pytest.raises(ChandelierError, match="'chandelier rtl' writes a design with its manifest"):
        Manifest.read(tmp_path)
    _manifest().write(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ChandelierError, match="generate the design again"):
        Manifest.read(tmp_path)


def test_fields_of_payloads() -> None:
    def places(fields: Any) -> list[tuple[str, int, int, int, int]]:
        return [(f.signal, f.offset, f.stride, f.width, f.lanes) for f in fields]

    assert places(payload_fields(event_layout(12, 3))) == [
        ("index", 0, 8, 4, 1),
        ("value", 4, 8, 3, 1),
        ("last", 7, 8, 1, 1),
    ]
    assert places(payload_fields(accumulator_layout(Format(5), 4, Format(6), 2))) == [
        ("i_ee", 0, 5, 5, 4),
        ("i_ie", 20, 6, 6, 2),
    ]
    frame = payload_fields(frame_layout(3, bal=Format(5, signed=True), d=Format(6)), 10)
    assert places(frame) == [("bal", 0, 11, 5, 3), ("d", 5, 11, 6, 3)]
    assert [(f.signed, f.neurons, f.beats) for f in frame] == [(True, 10, 4), (False, 10, 4)]
