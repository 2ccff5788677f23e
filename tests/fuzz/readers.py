"""Everything that reads data from outside: valid inputs to begin with, how they are damaged, and what has to hold."""

import contextlib
import gzip
import io
import json
import random
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from numcodecs import Blosc
from PIL import Image
from safetensors.torch import save_file

from hw.folding import default_foldings
from hw.load_image import load_image
from hw.load_shape import fingerprint, least_network
from hw.loader import Status
from hw.manifest import FILE_NAME, Manifest
from hw.protocol import ANSWER, END, VERSION, Counters, Frame, FrameDecoder, Greeting, Loaded, Message, Result
from hw.rtl import write_rtl
from quant.errors import LONGEST, ChandelierError
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from quant.network_file import load_network, save_network
from sw.cli import app
from sw.config import Config, load_config, loaded, parse_config, parsed
from sw.data import read_npz
from sw.data.cifar import read_cifar
from sw.data.events import (
    EVENTS,
    SENSOR,
    aedat4_decoder,
    read_aedat2,
    read_aedat3,
    read_aedat4,
    read_dvs128_gesture,
    read_npy,
)
from sw.data.formats import idx_bytes, read_idx, read_zarr
from sw.data.tiny_imagenet import read_tiny_imagenet
from sw.host import Board
from sw.import_deepeisnn import import_deepeisnn
from sw.import_nir import NIROptions, import_nir
from sw.study import Study
from sw.training import load_run_network, train
from tests.deepeisnn import mlp
from tests.fuzz.mutations import (
    Mutator,
    any_bytes,
    any_text,
    by_name,
    graph_values,
    in_frames,
    in_gzip,
    in_json,
    in_npy,
    in_safetensors,
    in_tar,
    in_zip,
    json_text,
    or_bytes,
)
from tests.pretender import Pretender
from tests.random_networks import random_codes, random_map_network, random_network
from tests.sw.test_events import AEDAT4, _aedat2, _aedat3, _columns, _npy, _recording
from tests.sw.test_import import _python2

__all__ = ["READERS", "Reader", "outcome"]


@dataclass(frozen=True)
class Reader:
    """One reader.

    Parameters
    ----------
    seeds : callable
        Valid inputs; may leave in the folder what ``read`` needs beside an input.
    read : callable
        Reads an input, in the folder where it has to be a file: anything, or :class:`ChandelierError`.
    mutate : Mutator
    memory : int
        Most MiB that an input may take.
    """

    seeds: Callable[[Path], list[bytes]]
    read: Callable[[bytes, Path], object]
    mutate: Mutator
    memory: int = 512


def outcome(reader: Reader, data: bytes, folder: Path) -> str:
    """``read``, or the kind of refusal: its line without numbers and what is quoted.

    Raises
    ------
    Exception
        Whatever the reader raises but :class:`ChandelierError`; ``AssertionError`` for a refusal that is no line.
    """
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            reader.read(data, folder)
    except ChandelierError as error:
        line = str(error)
        assert len(line) <= LONGEST and line.isprintable(), f"no refusal in a line: {line!r:.300}"
        return re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "?", line.replace(str(folder), ""))[:80]
    return "read"


def _written(data: bytes, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def _networks() -> list[IntegerNetwork]:
    signed = next(n for n in map(random_network, range(99)) if any(layer.n_i == 0 for layer in n.layers))
    return [random_network(1, largest=6), signed, random_map_network(2)]


def _network_files(folder: Path) -> list[bytes]:
    for i, network in enumerate(_networks()):
        save_network(network, folder / f"{i}.safetensors")
    return [_bytes_of(folder / f"{i}.safetensors") for i in range(len(_networks()))]


def _read_network(data: bytes, folder: Path) -> None:
    """What is read can be written, is the same when it is read again, and computes."""
    network = load_network(_written(data, folder / "n.safetensors"))
    save_network(network, folder / "again.safetensors")
    written = _bytes_of(folder / "again.safetensors")
    save_network(load_network(folder / "again.safetensors"), folder / "again.safetensors")
    assert _bytes_of(folder / "again.safetensors") == written
    work = sum(layer.w_ee.size * int(np.prod(network.maps[i][1][:2])) for i, layer in enumerate(network.layers))
    if network.steps * work < 1 << 18:
        GoldenModel(network).run(random_codes(network, 2, 0))


_CONFIGS = Path(__file__).parents[2] / "configs"
_CONFIG = """name = "tiny"
[data]
name = "NPZ"
bits = 4
[network]
hidden = [4]
steps = 2
ratio = 2
[training]
epochs = 1
batch = 8
[quantisation]
epochs = 1
"""


def _configurations(_: Path) -> list[bytes]:
    return [_CONFIG.encode(), *(_bytes_of(_CONFIGS / f"{name}.toml") for name in ("mnist-lenet", "cifar10-vgg8"))]


def _keys(kind: Any) -> list[str]:
    """Names of all fields of a model."""
    fields = [(name, field.annotation) for name, field in kind.model_fields.items()]
    return [key for name, inner in fields for key in (name, *(_keys(inner) if hasattr(inner, "model_fields") else []))]


_CONFIG_WORDS = [
    *_keys(Config),
    *("vgg8", "mlp4", "lenet", "PG", "32C5", "64Rs2", "s10.6", "affine", "global", "floor", "inf", "nan", "true"),
    *('"""', "[[data]]", "[data]", "1979-05-27T07:32:00Z", "0x_1", "1e400", "\\u0000", "9" * 5000, "9C9s9p9", "0P0"),
]


def _read_configuration(data: bytes, folder: Path) -> None:
    config = load_config(_written(data, folder / "c.toml"))
    assert parse_config(config.model_dump_json(), "c.json") == config


def _studies(_: Path) -> list[bytes]:
    return [_bytes_of(path) for path in sorted((_CONFIGS / "studies").glob("*.toml"))]


def _read_study(data: bytes, folder: Path) -> None:
    study = loaded(Study, _written(data, folder / "s.toml"))
    assert parsed(Study, study.model_dump_json(), "s.json") == study


def _json_configurations(_: Path) -> list[bytes]:
    return [parse_config(text.decode(), "c.toml").model_dump_json().encode() for text in _configurations(_)]


def _arrays(features: tuple[int, ...] = (6,), kind: type = np.float32, classes: int = 3) -> dict[str, np.ndarray]:
    """A data set of sixteen samples."""
    x: np.ndarray = (np.random.default_rng(0).random((16, *features)) * (255 if kind is np.uint8 else 1)).astype(kind)
    y = np.arange(16) % classes
    return {"x_train": x[:12], "y_train": y[:12], "x_test": x[12:], "y_test": y[:4]}


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _npz_files(_: Path) -> list[bytes]:
    sequences = _arrays((2, 2, 3, 1)) | {"kind": np.array("sequence")}
    return [_npz(each) for each in (_arrays(), _arrays((2, 3), np.uint8), sequences)]


def _idx_files(_: Path) -> list[bytes]:
    data = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    return [data, gzip.compress(data, mtime=0)]


def _zarr_files(_: Path) -> list[bytes]:
    grid = {"configuration": {"chunk_shape": [2, 2, 3]}}
    codecs = [{"name": "bytes"}, {"name": "blosc"}]
    meta = {"shape": [5, 2, 3], "data_type": "uint8", "chunk_grid": grid, "codecs": codecs}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/zarr.json", json.dumps(meta))
        for i in range(3):
            archive.writestr(f"a/c/{i}/0/0", Blosc().encode(np.arange(12, dtype=np.uint8)))
    return [buffer.getvalue()]


def _read_zarr(data: bytes, _: Path) -> None:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise ChandelierError("no zip: its SHA-256 has been compared before") from error
    with archive:
        read_zarr(archive, "a")


def _cifar_pickle() -> bytes:
    """Of two images."""
    return _python2(np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072), b"fine_labels", [7, 8])


def _cifar_pickles(folder: Path) -> list[bytes]:
    seed = _cifar_pickle()
    _written(seed, folder / "python" / "test")
    return [seed]


def _cifar_binaries(folder: Path) -> list[bytes]:
    seed = bytes([1, 2]) + bytes(range(256)) * 12
    _written(seed, folder / "binary" / "test.bin")
    return [seed, seed * 2]


def _read_cifar(name: str, data: bytes, folder: Path) -> None:
    read_cifar("cifar100", _written(data, folder / name).parent)


def _cifar_archives(_: Path) -> list[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("train", "test"):
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(_cifar_pickle())
            archive.addfile(member, io.BytesIO(_cifar_pickle()))
    return [gzip.compress(buffer.getvalue(), mtime=0)]


def _check_events(found: np.ndarray) -> None:
    """In order, and on the sensor."""
    assert found.dtype == EVENTS and (np.diff(found["t"]) >= 0).all()
    assert all(((found[axis] >= 0) & (found[axis] < SENSOR)).all() for axis in "xy")


def _read_aedat4(data: bytes, folder: Path) -> None:
    """In a process that is made anew when it did not survive."""
    try:
        _check_events(read_aedat4(_written(data, folder / "e.aedat4"), _decoder()))
    except ChandelierError as error:
        if "survive" in str(error):
            _decoder.cache_clear()
        raise


_decoder = cache(aedat4_decoder)


def _gesture_folder(folder: Path) -> list[bytes]:
    gestures = folder / "gestures"
    for half in ("train", "test"):
        _written(f"user_{half}.aedat\n".encode(), gestures / f"trials_to_{half}.txt")
        _written(_aedat3(_recording(200)), gestures / f"user_{half}.aedat")
    labels = b"class,startTime_usec,endTime_usec\n1,0,2500000\n11,2500000,5000000\n"
    _written(labels, gestures / "user_test_labels.csv")
    return [labels]


def _tiny_imagenet(folder: Path) -> tuple[list[bytes], list[bytes]]:
    """Annotations, and images."""
    image, tiny = io.BytesIO(), folder / "tiny"
    Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)).save(image, "JPEG", quality=30)
    for name in ("train/n00000001/images/a.JPEG", "val/images/val_0.JPEG"):
        _written(image.getvalue(), tiny / name)
    _written(b"n00000001\nn00000002\n", tiny / "wnids.txt")
    annotations = b"val_0.JPEG\tn00000001\t0\t32\t44\t62\n"
    _written(annotations, tiny / "val/val_annotations.txt")
    return [annotations], [image.getvalue()]


def _read_tiny(name: str, data: bytes, folder: Path) -> None:
    _written(data, folder / "tiny" / name)
    read_tiny_imagenet(folder / "tiny")


def _released(folder: Path) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """A network of DeepEISNN as checkpoints, tensors and configurations, with the data set that it is for."""
    network = mlp(6, (8, 4), 10)
    _written(_npz(_arrays((1, 2, 3), np.uint8, classes=10)), folder / "data.npz")
    (folder / "released").mkdir(exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state.items()}, folder / "released/model.safetensors"
    )
    config = json.dumps(network.config).encode()
    _written(config, folder / "released" / "config.json")
    torch.save({"model_state_dict": network.state, "config": network.config}, folder / "c.pth")
    return [_bytes_of(folder / "c.pth")], [_bytes_of(folder / "released/model.safetensors")], [config]


def _read_released(name: str, data: bytes, folder: Path) -> None:
    path = _written(data, folder / name)
    import_deepeisnn(path.parent if path.parent != folder else path, folder / "run", str(folder / "data.npz"))


def _tiny_config(folder: Path) -> Config:
    _written(_npz(_arrays()), folder / "own.npz")
    return parse_config(_CONFIG.replace("NPZ", str(folder / "own.npz")), "tiny.toml")


def _run(folder: Path) -> tuple[list[bytes], list[bytes]]:
    """Checkpoint, and weights, of a run that is through."""
    config = _tiny_config(folder)
    train(config, read_npz(folder / "own.npz"), folder / "run", lambda *_: None)
    return [_bytes_of(folder / "run/checkpoint.safetensors")], [_bytes_of(folder / "run/float.safetensors")]


def _resume(data: bytes, folder: Path) -> None:
    _written(data, folder / "run" / "checkpoint.safetensors")
    train(_tiny_config(folder), read_npz(folder / "own.npz"), folder / "run", lambda *_: None)


def _read_weights(data: bytes, folder: Path) -> None:
    _written(data, folder / "run" / "float.safetensors")
    load_run_network(_tiny_config(folder), read_npz(folder / "own.npz"), folder / "run", "float")


def _graphs(folder: Path) -> list[bytes]:
    def values(*shape: int) -> np.ndarray:
        return np.random.default_rng(0).normal(size=shape)

    two, none = np.array([2, 2]), np.array([0, 0])
    lif = nir.LIF(**{k: np.full(4, v) for k, v in {"tau": 4e-4, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0}.items()})
    convolution = nir.Conv2d((4, 4), values(3, 2, 3, 3), 1, 1, 1, 1, values(3))
    neurons = nir.IF(r=np.full((3, 4, 4), 0.5), v_threshold=np.ones((3, 4, 4)))
    pool, flat = nir.AvgPool2d(two, two, none), nir.Flatten({"input": np.array([3, 2, 2])}, 0)
    chains = {
        (6,): [nir.Linear(values(4, 6)), lif],
        (2, 4, 4): [convolution, neurons, pool, flat, nir.Affine(values(4, 12), values(4)), lif],
    }
    for shape, chain in chains.items():
        nodes = {"input": nir.Input({"input": np.array(shape)}), **{f"n{k}": node for k, node in enumerate(chain)}}
        nodes["output"] = nir.Output({"output": np.array([4])})
        nir.write(folder / f"{len(shape)}.nir", nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False))
    return [_bytes_of(folder / f"{len(shape)}.nir") for shape in chains]


def _read_graph(data: bytes, folder: Path) -> None:
    network = import_nir(_written(data, folder / "g.nir"), "g", NIROptions(3))
    save_network(network, folder / "g.safetensors")


def _designs(folder: Path) -> list[bytes]:
    network = random_network(1, largest=6)
    for name, loadable in (("fixed", False), ("loadable", True)):
        write_rtl(network, folder / name, foldings=default_foldings(network), loadable=loadable)
    return [_bytes_of(folder / name / FILE_NAME) for name in ("loadable", "fixed")]


def _read_manifest(data: bytes, folder: Path) -> None:
    manifest = Manifest.read(_written(data, folder / "design" / FILE_NAME).parent)
    load_image(random_network(1, largest=6), manifest)


def _marked(rng: random.Random, data: bytes) -> bytes:
    """A manifest with a value changed, and the fingerprint that follows from it."""
    changed = in_json(rng, json.loads(data))
    with contextlib.suppress(Exception):
        manifest = Manifest.model_validate_json(json.dumps(changed))
        if manifest.load is not None and sum(layer.n_e * layer.d for layer in manifest.layers) < 1 << 20:
            foldings = [
                replace(f, **vars(e.folding))
                for f, e in zip(default_foldings(random_network(1, largest=6)), manifest.layers, strict=True)
            ]
            changed["load"]["fingerprint"] = f"{fingerprint(least_network(manifest, manifest.load), foldings):016x}"
    return json.dumps(changed).encode("utf-8", "replace")


_GREETING = Greeting(VERSION, 4, bytes(8), 6, 4, 1, 3, 2, 0, Status.READY)


def _frames(_: Path) -> list[bytes]:
    """What a board sends: greeting, counters, results."""
    result = bytes([1, 0, 9, 0, 0, 0, 1, 0, 0xFF, 0xFF, 0xC0, 0xDB])
    answers = [
        (Message.PING, _GREETING.pack()),
        (Message.COUNTERS, bytes(16)),
        *[(Message.SAMPLE, result)] * 3,
        (Message.RESET, b""),
    ]
    return [b"".join(Frame(ANSWER | kind, 0, payload).encode() for kind, payload in answers)]


def _read_frames(data: bytes, _: Path) -> None:
    """Whole or in pieces, the same frames; each comes back from its own line; payloads are ``ValueError`` at most."""
    frames, decoder, pieces = list(FrameDecoder().feed(data)), FrameDecoder(), list[Frame]()
    for start in range(0, len(data), 7):
        pieces += decoder.feed(data[start : start + 7])
    assert frames == pieces
    for frame in frames:
        assert list(FrameDecoder().feed(frame.encode())) == [frame]
        for unpack in (Greeting.unpack, Counters.unpack, Loaded.unpack, partial(Result.unpack, logit_bytes=2)):
            with contextlib.suppress(ValueError):
                unpack(frame.payload)


def _script(script: bytes) -> Pretender:
    """A port behind which something answers each request with the next frame of a script, as if it was to the request.

    The sequence number in the script is how far the answer's is off.
    """
    parts = iter([part for part in script.split(bytes([END])) if part])

    def answer(request: Frame) -> bytes:
        part = bytes([END]) + next(parts, b"") + bytes([END])
        frames = list(FrameDecoder().feed(part))
        answers = [Frame(f.kind, (f.sequence + request.sequence) % 256, f.payload).encode() for f in frames]
        return b"".join(answers) if frames else part

    return Pretender(answer)


def _talk(data: bytes, _: Path) -> None:
    board = Board(_script(data), "the script", baud=1_000_000_000, patience=0.0)
    board.counters()
    list(board.infer(np.arange(18, dtype=np.uint8).reshape(3, 6) % 16))
    board.reset()


#: Verbs with an option at the end, whose value is made up. Nothing is trained, simulated or synthesised.
_COMMANDS = {
    "samples": "info N --data D --samples",
    "energy": "info N --data D --energy",
    "target": "info N --target-cycles",
    "synapse": "info N --synapse-lanes",
    "population": "info N --population-lanes",
    "neuron": "info N --neuron-lanes",
    "seed": "train C --seed",
    "steps": "import-nir G -o O --steps",
    "dt": "import-nir G -o O --steps 2 --dt",
    "reset": "import-nir G -o O --steps 2 --reset",
    "input": "import-nir G -o O --steps 2 --input-bits",
    "bits": "import-nir G -o O --steps 2 --synapse-bits",
    "seeds": "synth N --device none -o X --seeds",
    "events": "synth N --device none -o X --events",
    "clock": "synth N --device none -o X --clock",
    "board": "bitstream N --board none -o X --clock",
    "baud": "run N --port P --data D --baud",
    "format": "export N -o X --format",
}


def _commands(folder: Path) -> list[bytes]:
    network = random_network(1, largest=6)
    arrays = _arrays((network.input.features,), classes=network.classes)
    if network.input.kind == "sequence":
        arrays |= {key: np.repeat(arrays[key][:, None], network.steps, 1) for key in ("x_train", "x_test")}
    _written(_npz(arrays), folder / "D.npz")
    save_network(network, folder / "N.safetensors")
    _written(_graphs(folder)[0], folder / "G.nir")
    _written(_CONFIG.replace("NPZ", "absent").encode(), folder / "C.toml")
    values = ("3", "all", "1,2,3,4", "0.5", "1,1", "zero", "npz", "1e3")
    return [f"{name}\n{value}".encode() for name in _COMMANDS for value in values[:3]] + [
        f"samples\n{value}".encode() for value in values
    ]


def _command(data: bytes, folder: Path) -> None:
    """Exit code 0, or 2 with a line of an error; never a traceback."""
    name, _, value = data.decode("utf-8", "replace").partition("\n")
    if name not in _COMMANDS:
        raise ChandelierError("there is no such command in the list")
    *words, option = _COMMANDS[name].split()
    paths = {"N": "N.safetensors", "D": "D.npz", "G": "G.nir", "C": "C.toml", "O": "O.safetensors", "X": "X", "P": "P"}
    arguments = [str(folder / paths[word]) if word in paths else word for word in words]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            app([*arguments, f"{option}={value}"], prog_name="chandelier")
        except SystemExit as stop:
            code = stop.code
    if code:
        line = said.getvalue().removesuffix("\n")
        assert code == 2 and line.startswith("error: "), f"exit code {code}: {line:.300}"
        raise ChandelierError(line)


_TABLE = any_text(["1", "1e3", "all", "1,2", "-1", "0", "nan", "inf", "zero", "delayed", "load", "\u0663", *_COMMANDS])

#: By the name that the table has.
READERS: Mapping[str, Reader] = {
    "network file": Reader(_network_files, _read_network, or_bytes(in_safetensors)),
    "configuration": Reader(_configurations, _read_configuration, or_bytes(any_text(_CONFIG_WORDS))),
    "study": Reader(_studies, _read_study, or_bytes(any_text([*_keys(Study), *_CONFIG_WORDS]))),
    "run's config.json": Reader(
        _json_configurations,
        lambda data, folder: load_config(_written(data, folder / "c.json")),
        or_bytes(json_text),
    ),
    "npz": Reader(
        _npz_files,
        lambda data, folder: read_npz(_written(data, folder / "own.npz")),
        or_bytes(in_zip(lambda _: in_npy)),
    ),
    "idx": Reader(_idx_files, lambda data, _: read_idx(data), or_bytes(any_bytes, in_gzip(any_bytes))),
    "zarr": Reader(_zarr_files, _read_zarr, or_bytes(in_zip(by_name({".json": json_text})))),
    "cifar pickle": Reader(_cifar_pickles, partial(_read_cifar, "python/train"), any_bytes),
    "cifar binary": Reader(_cifar_binaries, partial(_read_cifar, "binary/train.bin"), any_bytes),
    "cifar archive": Reader(
        _cifar_archives,
        lambda data, folder: read_cifar("cifar100", _written(data, folder / "c.tar.gz")),
        or_bytes(in_gzip(or_bytes(in_tar(any_bytes)))),
    ),
    "aedat 2": Reader(lambda _: [_aedat2(_recording(20))], lambda data, _: _check_events(read_aedat2(data)), any_bytes),
    "aedat 3": Reader(lambda _: [_aedat3(_recording(90))], lambda data, _: _check_events(read_aedat3(data)), any_bytes),
    "aedat 4": Reader(lambda _: [AEDAT4], _read_aedat4, any_bytes),
    "gesture npy": Reader(
        lambda _: [_npy(_columns(_recording(20)))],
        lambda data, folder: _check_events(read_npy(_written(data, folder / "0.npy"))),
        or_bytes(in_npy),
    ),
    "gesture labels": Reader(
        _gesture_folder,
        lambda data, folder: read_dvs128_gesture(_written(data, folder / "gestures/user_train_labels.csv").parent),
        or_bytes(any_text(["1", "11", "0", "9999999999"])),
    ),
    "tiny-imagenet list": Reader(
        lambda folder: _tiny_imagenet(folder)[0],
        partial(_read_tiny, "val/val_annotations.txt"),
        or_bytes(any_text(["val_0.JPEG", "n00000001", "../", "n00000002"])),
    ),
    "tiny-imagenet jpeg": Reader(
        lambda folder: _tiny_imagenet(folder)[1], partial(_read_tiny, "val/images/val_0.JPEG"), any_bytes
    ),
    "deepeisnn checkpoint": Reader(
        lambda folder: _released(folder)[0], partial(_read_released, "c.pth"), or_bytes(in_zip(by_name({})))
    ),
    "deepeisnn tensors": Reader(
        lambda folder: _released(folder)[1],
        partial(_read_released, "released/model.safetensors"),
        or_bytes(in_safetensors),
    ),
    "deepeisnn config": Reader(
        lambda folder: _released(folder)[2], partial(_read_released, "released/config.json"), or_bytes(json_text)
    ),
    "run's checkpoint": Reader(lambda folder: _run(folder)[0], _resume, or_bytes(in_safetensors)),
    "run's weights": Reader(lambda folder: _run(folder)[1], _read_weights, or_bytes(in_safetensors)),
    "nir graph": Reader(
        _graphs,
        _read_graph,
        or_bytes(graph_values(["LIF", "IF", "Conv2d", "Flatten", "input", "n1", "same", "CubaLIF"])),
    ),
    "manifest": Reader(_designs, _read_manifest, or_bytes(json_text, _marked)),
    "frames": Reader(_frames, _read_frames, or_bytes(in_frames)),
    "host": Reader(_frames, _talk, or_bytes(in_frames)),
    "command line": Reader(_commands, _command, or_bytes(_TABLE)),
}
