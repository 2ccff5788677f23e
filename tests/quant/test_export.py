"""Every export holds exactly the network's integers."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from quant.errors import ChandelierError
from quant.export import FORMATS, export, tensors
from tests.random_networks import random_network

NETWORK = random_network(7, largest=12)
EXPECTED = {name: (array.astype(np.int64), fmt) for name, array, fmt in tensors(NETWORK)}


def test_mem(tmp_path: Path) -> None:
    export(NETWORK, "mem", tmp_path / "out")
    for name, (array, fmt) in EXPECTED.items():
        codes = np.array([int(line, 16) for line in (tmp_path / "out" / f"{name}.mem").read_text().split()])
        codes = np.where(codes > fmt.max, codes - (1 << fmt.width), codes)
        assert np.array_equal(codes.reshape(array.shape), array), name
    assert json.loads((tmp_path / "out" / "network.json").read_text())["steps"] == NETWORK.steps


def test_npz(tmp_path: Path) -> None:
    export(NETWORK, "npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        assert json.loads(str(file["network"]))["classes"] == NETWORK.classes
        for name, (array, _) in EXPECTED.items():
            assert np.array_equal(file[name], array), name


def test_json(tmp_path: Path) -> None:
    export(NETWORK, "json", tmp_path / "out.json")
    read = json.loads((tmp_path / "out.json").read_text())["tensors"]
    for name, (array, fmt) in EXPECTED.items():
        assert np.array_equal(np.array(read[name]["values"]), array) and read[name]["format"] == str(fmt), name


def test_c_header_compiles_and_holds_the_integers(tmp_path: Path) -> None:
    export(NETWORK, "c-header", tmp_path / "out.h")
    loops = "".join(
        f"  for (unsigned i = 0; i < sizeof {name} / sizeof {name}{'[0]' * array.ndim}; i++)"
        f' printf("%d ", (&{name}{"[0]" * array.ndim})[i]);\n'
        for name, (array, _) in EXPECTED.items()
    )
    source = f'#include <stdio.h>\n#include "out.h"\nint main(void) {{\n{loops}  return 0;\n}}\n'
    (tmp_path / "main.c").write_text(source)
    subprocess.run(["cc", "-std=c99", "-Wall", "-Werror", "-o", "main", "main.c"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    expected = np.concatenate([array.reshape(-1) for array, _ in EXPECTED.values()])
    assert np.array_equal(np.array(printed.split(), dtype=np.int64), expected)


@pytest.mark.parametrize("fmt", FORMATS)
def test_equal_networks_give_equal_bytes(tmp_path: Path, fmt: str) -> None:
    for name in ("a", "b"):
        export(random_network(7, largest=12), fmt, tmp_path / name)
    files = [sorted(p for p in [tmp_path / n, *(tmp_path / n).rglob("*")] if p.is_file()) for n in ("a", "b")]
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]


def test_memory_images_that_somebody_else_wrote_are_kept(tmp_path: Path) -> None:
    for _ in range(2):
        export(NETWORK, "mem", tmp_path)
    (tmp_path / "firmware.mem").write_text("cafe\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ChandelierError, match=r"holds firmware\.mem, which would be lost"):
        export(NETWORK, "mem", tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
