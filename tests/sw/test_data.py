"""Data: the bundled set, files of one's own (and damaged ones), and the parsers of what is fetched."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numcodecs import Blosc

from quant.errors import ChandelierError
from sw.data import DATASETS, Dataset, get, load
from sw.data.formats import idx_bytes, read_idx, read_zarr, sha256

Arrays = dict[str, np.ndarray]


def _arrays(shape: tuple[int, ...] = (5, 6), dtype: type = np.float32) -> Arrays:
    rng = np.random.default_rng(0)
    x = (rng.random((12, *shape)) * (255 if dtype is np.uint8 else 1)).astype(dtype)
    y = np.arange(12) % 3
    return {"x_train": x[:8], "y_train": y[:8], "x_test": x[8:], "y_test": y[8:]}


def _save(path: Path, arrays: Arrays) -> str:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def test_digits() -> None:
    data = load("digits")
    assert data.x_train.shape == (1437, 64) and data.x_test.shape == (360, 64) and data.classes == 10
    assert data.x_train.dtype == np.float32 and data.x_train.min() == 0 and data.x_train.max() == 1
    assert np.bincount(data.y_test).min() >= 34  # stratified
    assert np.array_equal(load("digits").x_test, data.x_test)


@pytest.mark.parametrize(
    ("arrays", "features", "steps", "image_shape"),
    [
        (_arrays((30,)), 30, None, None),
        (_arrays((5, 6), np.uint8), 30, None, (5, 6)),
        (_arrays((5, 6)), 6, 5, None),
        (_arrays((5, 6)) | {"kind": np.array("static")}, 30, None, (5, 6)),
        (_arrays((5, 6), np.uint8) | {"kind": np.array("sequence")}, 6, 5, None),
        (_arrays((5, 2, 3), np.uint8), 30, None, None),
    ],
)
def test_bring_your_own(
    tmp_path: Path, arrays: Arrays, features: int, steps: int | None, image_shape: tuple[int, int] | None
) -> None:
    data = load(_save(tmp_path / "own.npz", arrays))
    assert (data.features, data.steps, data.image_shape, data.classes) == (features, steps, image_shape, 3)
    scale = 255 if arrays["x_train"].dtype == np.uint8 else 1
    assert np.allclose(data.x_train.reshape(-1), arrays["x_train"].reshape(-1) / scale)


def test_other_ranges_are_scaled_by_the_training_set_and_noted(tmp_path: Path) -> None:
    arrays = _arrays((30,))
    arrays["x_train"] = arrays["x_train"] * 8 - 4
    arrays["x_test"] = arrays["x_test"] * 100
    data = load(_save(tmp_path / "own.npz", arrays))
    assert data.x_train.min() == 0 and data.x_train.max() == 1 and data.x_test.max() == 1
    assert "scaled" in data.notes[0]


def _with(**changes: object) -> Callable[[], Arrays]:
    return lambda: _arrays((30,)) | {k: np.asarray(v) for k, v in changes.items()}  # type: ignore[return-value]


NAN = _arrays((30,))["x_test"].copy()
NAN[2, 7] = np.nan


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: {k: v for k, v in _arrays().items() if k != "y_test"}, "the array y_test is missing"),
        (_with(x_test=NAN), r"x_test\[2, 7\] is nan: inputs must be finite"),
        (_with(x_test=np.zeros((4, 29))), r"samples of x_train have shape \(30,\), and those of x_test \(29,\)"),
        (_with(x_train=np.zeros((0, 30))), "not be empty"),
        (_with(x_train=np.zeros(30)), "must have shape"),
        (_with(x_train=np.array([["a"]])), "x_train must hold numbers"),
        (_with(y_train=np.zeros(7, int)), r"y_train must have shape \(8,\) like its inputs, not \(7,\)"),
        (_with(y_train=np.zeros(8)), "y_train must hold integer labels, not float64"),
        (_with(y_test=[0, 1, 2, 3]), r"y_test holds the label 3, and 0\.\.2 are allowed"),
        (_with(y_train=[0, 1, 2, -1, 0, 1, 2, 0]), r"y_train holds the label -1"),
        (_with(y_train=[0, 1, 2, 1000, 0, 1, 2, 0]), r"y_train holds the label 1000, and 0\.\.999"),
        (_with(kind="film"), "kind must be static or sequence, not 'film'"),
        (_with(x_train=np.array([None] * 8, dtype=object)), "x_train holds Python objects"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, make: Callable[[], Arrays], message: str) -> None:
    path = _save(tmp_path / "own.npz", make())
    with pytest.raises(ChandelierError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(path) and "\n" not in str(caught.value)


def test_a_huge_array_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = _save(tmp_path / "own.npz", _arrays((30,)))
    header = io.BytesIO()
    shape = (1 << 40, 30)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (members | {"x_train.npy": header.getvalue()}).items():
            archive.writestr(name, data)
    with pytest.raises(ChandelierError, match=r"x_train would take 131,941,395,333,120 bytes"):
        load(path)


@pytest.mark.parametrize("seed", range(150))
def test_fuzz_a_damaged_file_is_a_data_set_or_one_line(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "own.npz"
    (np.savez_compressed if seed % 2 else np.savez)(path, **_arrays((30,)))  # type: ignore[arg-type]
    data = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        del data[int(rng.integers(len(data))) :]
    for position in rng.integers(0, max(1, len(data)), int(rng.integers(1, 6))):
        if position < len(data):
            data[position] = int(rng.integers(256))
    path.write_bytes(data)
    try:
        assert isinstance(load(str(path)), Dataset)
    except ChandelierError as error:
        assert "\n" not in str(error), f"seed {seed}"


def test_what_is_not_there_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path))
    with pytest.raises(ChandelierError, match="type 'chandelier data get mnist'"):
        load("mnist")
    with pytest.raises(ChandelierError, match="there is no data set minst: choose from digits, mnist"):
        load("minst")
    with pytest.raises(ChandelierError, match="is not there: give the path"):
        load(str(tmp_path / "nothing.npz"))
    assert get("digits") is None


def test_fetching_verifies_and_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = _arrays((5, 6), np.uint8)
    arrays |= {k: v.astype(np.uint8) for k, v in arrays.items()}
    hashes = {k: sha256(idx_bytes(v)) for k, v in arrays.items()}
    source = DATASETS["mnist"]
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path))
    monkeypatch.setitem(DATASETS, "mnist", type(source)("a test", "none", lambda: arrays, hashes))
    path = get("mnist")
    assert path is not None and load("mnist").image_shape == (5, 6)
    _save(path, arrays | {"x_test": arrays["x_test"] ^ 1})
    with pytest.raises(ChandelierError, match="x_test is not what it should be"):
        load("mnist")
    path.write_bytes(b"rubbish")
    with pytest.raises(ChandelierError, match=r"is damaged .*: type 'chandelier data get mnist'"):
        load("mnist")
    monkeypatch.setitem(DATASETS, "mnist", type(source)("a test", "none", lambda: arrays, hashes | {"y_test": "0"}))
    with pytest.raises(ChandelierError, match="y_test is not what it should be"):
        get("mnist")


def test_idx() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = idx_bytes(array)
    assert data[:8] == b"\x00\x00\x08\x03\x00\x00\x00\x02"  # as published: magic 2051, then the sizes
    assert np.array_equal(read_idx(data), array) and np.array_equal(read_idx(gzip.compress(data)), array)
    for bad in (b"", data[:3], data[:-1], data + b"x", b"\x00\x00\x0d" + data[3:], b"\x1f\x8bxx"):
        with pytest.raises(ChandelierError, match="not an IDX file"):
            read_idx(bad)


def test_zarr() -> None:
    array = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
    meta = {
        "shape": [5, 2, 3],
        "data_type": "uint8",
        "chunk_grid": {"configuration": {"chunk_shape": [2, 2, 3]}},
        "codecs": [{"name": "bytes"}, {"name": "blosc"}],
    }
    chunks = [array[0:2], array[2:4], np.concatenate([array[4:5], np.zeros_like(array[:1])])]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/zarr.json", json.dumps(meta))
        archive.writestr("b/zarr.json", json.dumps(meta | {"data_type": "float32"}))
        for i, chunk in enumerate(chunks):
            archive.writestr(f"a/c/{i}/0/0", Blosc().encode(np.ascontiguousarray(chunk)))
    with zipfile.ZipFile(buffer) as archive:
        assert np.array_equal(read_zarr(archive, "a"), array)
        with pytest.raises(ChandelierError, match="not uint8"):
            read_zarr(archive, "b")
        with pytest.raises(ChandelierError, match="not the zarr array"):
            read_zarr(archive, "c")
