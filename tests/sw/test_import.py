"""Data sets that are brought, CIFAR and Tiny-ImageNet: small files as they are published, damaged and hostile ones."""

import gzip
import io
import pickle
import struct
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quant.errors import ChandelierError
from quant.optional import optional
from sw.data import DATASETS, Census, bring, cifar, get, how, is_available, load
from sw.data.cifar import read_cifar, unpickle
from sw.data.tiny_imagenet import read_tiny_imagenet

Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path / "cache"))


def _string(text: bytes) -> bytes:
    return (b"U" + bytes([len(text)]) if len(text) < 256 else b"T" + struct.pack("<i", len(text))) + text


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _python2(pixels: np.ndarray, key: bytes, labels: list[int]) -> bytes:
    """What Python 2 pickled with protocol 2, opcode by opcode: the published files are like this."""
    numbers = b"cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNN" + 2 * _number(-1) + b"K\x00tb"
    shape = _number(pixels.shape[0]) + _number(pixels.shape[1]) + b"\x86"
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04(K\x01" + shape
    array += numbers + b"\x89" + _string(pixels.tobytes()) + b"tb"
    entries = _string(b"batch_label") + _string(b"testing batch 1 of 1") + _string(b"data") + array
    listed = b"]q\x07(" + b"".join(map(_number, labels)) + b"e"
    return b"\x80\x02}q\x01(" + entries + _string(key) + listed + b"u."


def _cifar(name: str, form: str) -> tuple[Files, dict[str, np.ndarray]]:
    """Files of a CIFAR with two samples of each class in each file, and the arrays that are in them."""
    classes, key = (10, b"labels") if name == "cifar10" else (100, b"fine_labels")
    stems = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"] if name == "cifar10" else ["train", "test"]
    rng, files = np.random.default_rng(0), {}
    halves: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    for stem in stems:
        labels = rng.permutation(np.arange(2 * classes) % classes).astype(np.uint8)
        pixels = rng.integers(0, 256, (len(labels), 3072), np.uint8)
        coarse = labels[:, None][:, : int(name == "cifar100")] // 5
        if form == "python":
            files[stem] = _python2(pixels, key, labels.tolist())
        else:
            files[f"{stem}.bin"] = np.hstack([coarse, labels[:, None], pixels]).astype(np.uint8).tobytes()
        x, y = halves.setdefault("test" if "test" in stem else "train", ([], []))
        x.append(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        y.append(labels)
    return files, {f"{k}_{half}": np.concatenate(halves[half][i]) for half in halves for i, k in enumerate("xy")}


def _folder(path: Path, files: Files) -> Path:
    path.mkdir(parents=True)
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def _archive(path: Path, files: Files, folder: str = "cifar") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def _same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        found[k].dtype == np.uint8 and np.array_equal(found[k], v) for k, v in expected.items()
    )


def test_the_pickles_of_the_tests_are_what_python_reads() -> None:
    files, arrays = _cifar("cifar10", "python")
    found = pickle.loads(files["test_batch"], encoding="bytes")
    assert np.array_equal(found[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), arrays["x_test"])
    assert found[b"labels"] == arrays["y_test"].tolist() and found[b"data"].dtype == np.uint8


@pytest.mark.parametrize("form", ["python", "binary"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar(name: str, form: str, tmp_path: Path) -> None:
    files, arrays = _cifar(name, form)
    others = {"batches.meta": b"\x80", "readme.html": b"<html>"}
    folder = _folder(tmp_path / "above" / "cifar-batches", files | others)
    archive = _archive(tmp_path / "cifar.tar.gz", files | others)
    for path in (folder, folder.parent, archive):
        assert _same(read_cifar(name, path), arrays)


def test_arrays_pickled_by_todays_python_are_read_too(tmp_path: Path) -> None:
    files, arrays = _cifar("cifar100", "python")
    for stem, half in (("train", "train"), ("test", "test")):
        pixels = np.ascontiguousarray(arrays[f"x_{half}"].transpose(0, 3, 1, 2)).reshape(-1, 3072)
        files[stem] = pickle.dumps({b"data": pixels, b"fine_labels": arrays[f"y_{half}"].tolist()}, protocol=4)
    assert _same(read_cifar("cifar100", _folder(tmp_path / "c", files)), arrays)


def test_importing_verifies_and_caches_as_fetching_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, arrays = _cifar("cifar10", "python")
    monkeypatch.setitem(DATASETS, "cifar10", replace(DATASETS["cifar10"], census=Census((32, 32, 3), 10, 10, 2)))
    said: list[str] = []
    assert not is_available("cifar10")
    path = bring("cifar10", _folder(tmp_path / "c", files), progress=said.append)
    assert path == tmp_path / "cache" / "data" / "cifar10.npz" and len(said) == 2 and is_available("cifar10")
    data = load("cifar10")
    assert (data.image_shape, data.features, data.steps, data.classes) == ((32, 32, 3), 3072, None, 10)
    assert np.array_equal(data.x_test, arrays["x_test"].reshape(-1, 3072) / np.float32(255))
    before = path.read_bytes()
    files["test_batch"] = files["data_batch_1"]
    files["data_batch_1"] = _python2(np.zeros((1, 3072), np.uint8), b"labels", [3])
    with pytest.raises(ChandelierError, match=r"^cifar10: class 0 has 8 samples in y_train, and must have 10: files"):
        bring("cifar10", _folder(tmp_path / "fewer", files))
    assert path.read_bytes() == before  # what failed has replaced nothing


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((4, 2, 2, 3), np.uint8)}, r"x_train has the shape \(4, 2, 2, 3\), not \(4, 32, 32, 3\)"),
        ({"x_test": None}, "x_test and y_test are not both there as bytes"),
        ({"y_test": np.zeros((), np.uint8)}, "x_test and y_test are not both there as bytes"),
        ({"y_train": np.array([0, 1, 2, 3], np.uint8)}, "y_train holds the label 3, and there are 2 classes"),
        ({"y_train": np.array([0, 0, 0, 1], np.uint8)}, "class 0 has 3 samples in y_train, and must have 2"),
        ({"y_test": np.array([0, 0, 0, 0], np.uint8)}, "class 1 has 0 samples in y_test, and must have at least one"),
    ],
)
def test_what_is_in_the_cache_is_counted_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, np.ndarray | None], message: str
) -> None:
    monkeypatch.setitem(DATASETS, "cifar10", replace(DATASETS["cifar10"], census=Census((32, 32, 3), 2, 2)))
    x, y = np.zeros((4, 32, 32, 3), np.uint8), np.arange(4, dtype=np.uint8) % 2
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y} | changes
    path = tmp_path / "cache" / "data" / "cifar10.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})  # type: ignore[arg-type]
    with pytest.raises(ChandelierError, match=f"^cifar10: {message}"):
        load("cifar10")


def test_what_has_to_be_brought_says_how(tmp_path: Path) -> None:
    for name in ("cifar10", "cifar100", "tiny-imagenet", "dvs128-gesture", "cifar10-dvs"):
        assert how(name) == f"chandelier data import {name} PATH"
        with pytest.raises(ChandelierError, match=f"^{name} cannot be fetched: get .*, and type '{how(name)}'$"):
            get(name)
        with pytest.raises(ChandelierError, match=f"^data set {name} is not here: type '{how(name)}'$"):
            load(name)
        with pytest.raises(ChandelierError, match=r"nothing is not there: get "):
            bring(name, tmp_path / "nothing")
    with pytest.raises(ChandelierError, match=r"^mnist is fetched: type 'chandelier data get mnist'$"):
        bring("mnist", tmp_path)
    with pytest.raises(ChandelierError, match=r"^digits is bundled: nothing to import$"):
        bring("digits", tmp_path)
    with pytest.raises(ChandelierError, match="there is no data set cifar: choose from"):
        bring("cifar", tmp_path)


def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> dict[str, np.ndarray]:
        raise PermissionError(13, "Permission denied", str(path / "test_batch"))

    monkeypatch.setitem(DATASETS, "cifar10", replace(DATASETS["cifar10"], read=refuse))
    with pytest.raises(ChandelierError, match=r"^cannot read .*/test_batch: Permission denied$"):
        bring("cifar10", tmp_path)


class _Bomb:
    """Runs a function with an argument when it is unpickled by who is careless."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_runs_nothing_and_what_it_asks_for_is_named(tmp_path: Path, protocol: int) -> None:
    witness = tmp_path / "executed"
    bomb = pickle.dumps({"data": _Bomb(exec, f"open({str(witness)!r}, 'w')")}, protocol=protocol)
    with pytest.raises(ChandelierError, match=r"it asks for '(__builtin__|builtins)\.exec', and only arrays are read"):
        unpickle(bomb)
    assert not witness.exists()
    pickle.loads(bomb)
    assert witness.exists()  # it would have


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02cnumpy\nload\n.", r"asks for 'numpy\.load'"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.", r"asks for 'numpy\.ndarray\.dumps'"),
        (b"\x80\x02c" + b"x" * 5000 + b"\ny\n.", r"asks for 'x+\.\.\.x+\.?y?'"),
        (b"\x80\x02]q\x01.", "holds a list, not a dictionary"),
        (b"", "not a readable pickle"),
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".", "not a readable pickle"),  # room for a terabyte
        (b"\x80\x02}N" + b"\x85" * 3_000_000 + b"Ns.", "tuples in tuples in tuples"),  # its hash overflows the stack
        (b"\x80\x02}r\xff\xff\xff\xff.", None),  # four billion memos, or so it says
        (b"\x80\x02cnumpy\nndarray\n}U\x08__init__Nsb.", "not a readable pickle"),  # a change of what stands for arrays
    ],
)
def test_a_hostile_pickle_is_one_line(data: bytes, message: str | None) -> None:
    if message is None:
        assert unpickle(data) == {}
        return
    with pytest.raises(ChandelierError, match=message) as caught:
        unpickle(data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def _changed(part: bytes, by: bytes) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        assert part in files["train"]
        files["train"] = files["train"].replace(part, by, 1)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.pop("train"), "holds no file train: give the folder or archive of cifar100 as published"),
        (lambda files: files.pop("test"), "holds no file test: "),
        (_changed(b"fine_labels", b"some_labels"), "train: it has no list 'fine_labels' of labels in 0..255"),
        (_changed(b"\x04data", b"\x04dada"), "train: it has no array 'data'"),
        (_changed(b"U\x02u1", b"U\x02O1"), "train: an array in it is not one of bytes"),
        (_changed(_number(200), _number(201)), r"train: an array in it has the shape \(201, 3072\), and 614400 bytes"),
        (_changed(_number(200) + _number(3072), _number(-200) + _number(-3072)), r"the shape \(-200, -3072\)"),
        (_changed(b"]q\x07(" + _number(75), b"]q\x07(" + _number(300)), "train: it has no list 'fine_labels'"),
    ],
)
def test_a_damaged_pickle_is_one_line(tmp_path: Path, change: Callable[[Files], object], message: str) -> None:
    files, _ = _cifar("cifar100", "python")
    files["train"] = files["train"].replace(files["train"][files["train"].index(b"]q\x07(") + 4 :][:5], _number(75), 1)
    change(files)
    with pytest.raises(ChandelierError, match=message) as caught:
        read_cifar("cifar100", _folder(tmp_path / "c", files))
    assert "\n" not in str(caught.value)


def test_a_binary_file_of_another_length_is_one_line(tmp_path: Path) -> None:
    files, _ = _cifar("cifar10", "binary")
    files["data_batch_2.bin"] += b"x"
    with pytest.raises(ChandelierError, match=r"c: data_batch_2\.bin: it has 61461 bytes, and an image .* 3073"):
        read_cifar("cifar10", _folder(tmp_path / "c", files))


def test_nothing_of_an_archive_is_written_and_links_are_no_files(tmp_path: Path) -> None:
    files, arrays = _cifar("cifar100", "binary")
    before = set(tmp_path.rglob("*"))
    path = _archive(tmp_path / "c.tar.gz", files, "../../../etc")
    assert _same(read_cifar("cifar100", path), arrays)
    assert set(tmp_path.rglob("*")) == before | {path}
    with tarfile.open(path, "w:gz") as archive:
        for name in files:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    with pytest.raises(ChandelierError, match="holds no file train"):
        read_cifar("cifar100", path)


def test_two_files_of_a_name_are_not_chosen_from(tmp_path: Path) -> None:
    files, _ = _cifar("cifar100", "binary")
    _folder(tmp_path / "c" / "one", files)
    _folder(tmp_path / "c" / "two", files)
    with pytest.raises(ChandelierError, match=r"c has two files test\.bin: give the folder or archive that has one"):
        read_cifar("cifar100", tmp_path / "c")


def test_sizes_are_checked_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, _ = _cifar("cifar100", "binary")
    folder, archive = _folder(tmp_path / "c", files), _archive(tmp_path / "c.tar.gz", files)
    monkeypatch.setattr(cifar, "MOST_BYTES", len(files["train.bin"]) - 1)
    with pytest.raises(ChandelierError, match=r"test\.bin has 614,800 bytes, and 614,799 is the limit"):
        read_cifar("cifar100", folder)
    with pytest.raises(ChandelierError, match=r"c\.tar\.gz, unpacked, has 614,800 bytes, and 614,799 is the limit"):
        read_cifar("cifar100", archive)
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(bytes(1 << 24)))
    with pytest.raises(ChandelierError, match="unpacked, has 614,800 bytes"):
        read_cifar("cifar100", bomb)


@pytest.mark.parametrize("seed", range(150))
def test_fuzz_damaged_files_are_arrays_or_one_line(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    files, _ = _cifar("cifar100", ("python", "binary")[seed % 2])
    victim = "train" + (".bin" if seed % 2 else "")
    data = bytearray(files[victim])
    interesting = [i for i in range(len(data)) if i < 250 or i > len(data) - 100]
    for _ in range(int(rng.integers(1, 6))):
        data[int(rng.choice(interesting))] = int(rng.choice([*b"c}()]KJMRbtqrUT.\x80\x85\x86\x87\x93\x96", *range(8)]))
    files[victim] = bytes(data)
    path = _archive(tmp_path / "c.tar.gz", files) if seed % 3 else _folder(tmp_path / "c", files)
    if seed % 3 == 1:
        packed = bytearray(path.read_bytes())
        packed[int(rng.integers(len(packed)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(packed[: int(rng.integers(len(packed) // 2, 2 * len(packed)))])
    try:
        found = read_cifar("cifar100", path)
    except ChandelierError as error:
        assert "\n" not in str(error) and len(str(error)) < len(str(path)) + 250, f"seed {seed}: {error}"
    else:
        assert all(array.dtype == np.uint8 for array in found.values()), f"seed {seed}"


def test_a_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "tonic.transforms", None)
    for name, package in (("tiny-imagenet", "pillow"), ("dvs128-gesture", "tonic"), ("cifar10-dvs", "tonic")):
        with pytest.raises(ChandelierError, match=f"^{name} needs .*; type: pip install {package}$"):
            bring(name, tmp_path)
    assert optional("json", "a test", "json").loads("1") == 1


CLASSES = ("n02124075", "n01443537", "n07747607")


def _tiny(folder: Path, images: int = 2) -> Path:
    """Tiny-ImageNet with three classes: the grey of an image says which it is."""
    image = pytest.importorskip("PIL.Image")

    def save(path: Path, grey: int, mode: str = "RGB") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.new("L", (64, 64), grey).convert(mode).save(path, "JPEG", quality=100)

    for c, name in enumerate(CLASSES):
        for i in range(images):
            save(folder / "train" / name / "images" / f"{name}_{i}.JPEG", 40 * c + 10 * i, "L" if i else "RGB")
    lines = []
    for i in range(3 * images):
        save(folder / "val" / "images" / f"val_{i}.JPEG", 200 + i)
        lines.append(f"val_{i}.JPEG\t{CLASSES[i % 3]}\t0\t32\t44\t62")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    (folder / "wnids.txt").write_text("\n".join(CLASSES) + "\n")
    return folder


def test_tiny_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _tiny(tmp_path / "tiny-imagenet-200")
    found = read_tiny_imagenet(folder)
    assert found["x_train"].shape == (6, 32, 32, 3) and found["x_train"].dtype == found["y_train"].dtype == np.uint8
    assert found["y_train"].tolist() == [0, 0, 1, 1, 2, 2]  # in the order of the names, which is not that of wnids.txt
    assert found["x_train"][:, 5, 7, 1].tolist() == [40, 50, 0, 10, 80, 90]
    assert found["y_test"].tolist() == [1, 0, 2, 1, 0, 2]
    assert found["x_test"][:, 5, 7, 1].tolist() == [200, 201, 202, 203, 204, 205]
    census = Census((32, 32, 3), 3, 2, 2)
    monkeypatch.setitem(DATASETS, "tiny-imagenet", replace(DATASETS["tiny-imagenet"], census=census))
    bring("tiny-imagenet", folder)
    assert load("tiny-imagenet").image_shape == (32, 32, 3)


def test_an_image_shrinks_by_means_not_by_leaving_pixels_out(tmp_path: Path) -> None:
    folder = _tiny(tmp_path / "t")
    image = pytest.importorskip("PIL.Image")
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    image.fromarray(stripes).save(folder / "train" / CLASSES[0] / "images" / f"{CLASSES[0]}_0.JPEG", quality=100)
    assert abs(read_tiny_imagenet(folder)["x_train"][2, 4:-4, 4:-4].astype(int) - 128).max() < 8


def _write(folder: Path, file: str, data: bytes) -> None:
    (folder / file).write_bytes(data)


IMAGE = f"train/{CLASSES[0]}/images/{CLASSES[0]}_0.JPEG"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "wnids.txt").unlink(), r"wnids\.txt cannot be read .*: give the folder tiny-imagenet-200"),
        (
            lambda f: _write(f, "wnids.txt", b"../../etc\n"),
            r"wnids\.txt has '\.\./\.\./etc', which is not like n01443537",
        ),
        (lambda f: _write(f, "wnids.txt", b"\xff\xfe"), r"wnids\.txt cannot be read"),
        (
            lambda f: _write(f, "val/val_annotations.txt", b"../secret.JPEG\tn01443537\t0\t0\t1\t1\n"),
            r"val_annotations\.txt, line 1: no image and class: '\.\./secret",
        ),
        (
            lambda f: _write(f, "val/val_annotations.txt", b"val_0.JPEG\tn00000000\n"),
            r"val_annotations\.txt, line 1: no image and class",
        ),
        (lambda f: _write(f, IMAGE, b"\xff\xd8\xffrubbish"), r"_0\.JPEG is not a readable JPEG"),
        (lambda f: _write(f, IMAGE, (f / IMAGE).read_bytes()[:-8]), r"_0\.JPEG is not a readable JPEG"),
        (lambda f: _write(f, IMAGE, bytes((1 << 22) + 1)), r"_0\.JPEG has more than 4,194,304 bytes"),
        (lambda f: (f / "val" / "images" / "val_1.JPEG").unlink(), r"val_1\.JPEG is not a readable JPEG"),
    ],
)
def test_damage_to_tiny_imagenet_is_one_line(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    folder = _tiny(tmp_path / "t")
    damage(folder)
    with pytest.raises(ChandelierError, match=message) as caught:
        read_tiny_imagenet(folder)
    assert "\n" not in str(caught.value)


def test_an_image_of_another_size_or_format_is_refused(tmp_path: Path) -> None:
    folder, image = _tiny(tmp_path / "t"), pytest.importorskip("PIL.Image")
    image.new("RGB", (64, 65)).save(folder / IMAGE, "JPEG")
    with pytest.raises(ChandelierError, match="has 64 x 65 pixels, not 64 x 64"):
        read_tiny_imagenet(folder)
    image.new("RGB", (64, 64)).save(folder / IMAGE, "PNG")
    with pytest.raises(ChandelierError, match="is not a readable JPEG"):
        read_tiny_imagenet(folder)
    with pytest.raises(ChandelierError, match="give the folder tiny-imagenet-200"):
        read_tiny_imagenet(folder / "wnids.txt")
