"""Recordings of event cameras, DVS128 Gesture and CIFAR10-DVS, as sequences of frames: counts of events, 48x48.

As in the paper, each frame has as many events as the next, and a frame has a channel for each polarity. A frame is
summed from 128x128 to 48x48 pixels; an event whose pixel straddles two or four is shared among them, in ninths. A
byte is a ninth of an event, so that nothing is rounded: 255, which becomes an input of 1, are 28 1/3 events or more.
"""

import multiprocessing
import os
import re
import struct
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from quant.errors import ChandelierError
from quant.optional import optional

__all__ = ["read_cifar10_dvs", "read_dvs128_gesture"]

#: Side of the sensor, and of a frame, in pixels.
SENSOR, SIDE = 128, 48
#: Frames of a recording.
GESTURE_STEPS, CIFAR10_STEPS = 16, 10
#: Largest size of a recording in bytes.
_MOST_BYTES = 1 << 30
#: What tonic works on: microseconds, column, row, polarity.
EVENTS = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.bool_)])
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _data(path: Path) -> bytes:
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise ChandelierError(f"{path} has {size:,} bytes, and {_MOST_BYTES:,} is the limit")
    return path.read_bytes()


def _events(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Events in the order of their time; refuses those beyond the sensor."""
    for name, place in (("x", x), ("y", y)):
        if len(place) and not 0 <= int(place.min()) <= int(place.max()) < SENSOR:
            raise ChandelierError(f"{name} is {place.min():g}..{place.max():g}, and 0..{SENSOR - 1} is the sensor")
    events = np.empty(len(t), EVENTS)
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return events[np.argsort(events["t"], kind="stable")]


def _body(data: bytes, version: bytes) -> bytes:
    """What follows the comment lines of an AEDAT file."""
    if not data.startswith(b"#!AER-DAT" + version):
        raise ChandelierError(f"it is no AEDAT {version.decode()} file")
    if version == b"3.1":
        return data.partition(b"#!END-HEADER\r\n")[2]
    start = 0
    while data[start : start + 1] == b"#":
        start = data.find(b"\n", start) + 1 or len(data)
    return data[start:]


def read_aedat2(data: bytes) -> np.ndarray:
    """Events of an AEDAT 2.0 file of a DVS128: pairs of address and time, big-endian; upright, as others read it."""
    body = _body(data, b"2.0")
    if len(body) % 8:
        raise ChandelierError(f"it has {len(body)} bytes of events, and an event has 8")
    address, time = np.frombuffer(body, ">u4").reshape(-1, 2).T
    return _events(time, SENSOR - 1 - (address >> 8 & 127), SENSOR - 1 - (address >> 1 & 127), ~address & 1)


def read_aedat3(data: bytes) -> np.ndarray:
    """Polarity events of an AEDAT 3.1 file: packets, little-endian, with a header of 28 bytes."""
    body, start, packets = _body(data, b"3.1"), 0, []
    while start < len(body):
        if len(body) - start < 28:
            raise ChandelierError("its last packet is cut short")
        kind, _, size, _, overflow, capacity, number, _ = struct.unpack_from("<HHIIIIII", body, start)
        start, end = start + 28, start + 28 + size * capacity
        if end > len(body) or number > capacity or (kind == 1 and size != 8):
            raise ChandelierError(f"a packet of {number} of {capacity} events of {size} bytes does not fit")
        if kind == 1:
            packet = np.frombuffer(body, "<u4", 2 * number, start).reshape(-1, 2)
            packets.append((packet[:, 0], packet[:, 1] + (np.int64(overflow) << 31)))
        start = end
    if not packets:
        raise ChandelierError("it has no events")
    address, time = (np.concatenate(parts) for parts in zip(*packets, strict=True))
    return _events(time, address >> 17 & 0x7FFF, address >> 2 & 0x7FFF, address >> 1 & 1)


def _in_silence() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def aedat4_decoder() -> ProcessPoolExecutor:
    """A process that decodes AEDAT 4 files, begun when it is needed.

    Their decoder, in Rust, ends its process on some damaged files, and has much to say then.
    """
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_in_silence)


def _decoded(path: str) -> list[np.ndarray]:
    """Times, columns, rows and polarities: the work of the decoder's process."""
    optional("aedat", "an AEDAT 4 file", "tonic", "aedat")
    try:
        found = optional("tonic.io", "an AEDAT 4 file", "tonic", "aedat").read_aedat4(path)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what the decoder panics with is no Exception
        raise ChandelierError(f"it is not a readable AEDAT 4 file: {str(error)[:120]!r}") from None
    return [found[name] for name in ("t", "x", "y", "on")]


def read_aedat4(path: Path, decoder: Executor) -> np.ndarray:
    """Events of an AEDAT 4 file; see ``aedat4_decoder``."""
    try:
        return _events(*decoder.submit(_decoded, str(path)).result())
    except BrokenExecutor:
        raise ChandelierError("it is not a readable AEDAT 4 file: its decoder did not survive it") from None


def read_npy(path: Path) -> np.ndarray:
    """Events of a .npy as tonic's DVSGesture has them: (events, 4), columns x, y, polarity, milliseconds."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: its size is compared with the file's
    except Exception as error:  # damaged bytes raise whatever the npy and literal readers happen to run into
        raise ChandelierError(f"it is not a readable .npy: {str(error)[:120]!r}") from None
    if found.ndim != 2 or found.shape[1] != 4 or found.dtype.kind not in "iuf":
        raise ChandelierError(f"it has the shape {found.shape} of {found.dtype}, not (events, 4) of numbers")
    if not ((found >= 0) & (found < 1 << 40)).all():
        raise ChandelierError("it has a number that is not in 0..2**40")
    x, y, p, time = np.asarray(found, np.float64).T
    return _events(time * 1000, x, y, p)


def _shares() -> np.ndarray:
    """(48, 128): thirds of each of the 128 pixels of a side that fall into each of 48."""
    low, high = 8 * np.arange(SIDE)[:, None], 3 * np.arange(SENSOR)  # in thirds, a pixel has 8 and 3
    overlap = np.minimum(low + 8, high + 3) - np.maximum(low, high)
    return np.maximum(overlap, 0).astype(np.float32)


def frames(tonic: Any, events: np.ndarray, steps: int) -> np.ndarray:
    """(steps, 48, 48, 2) bytes: ninths of events, 255 at most; ``tonic`` is its module of transforms.

    Raises
    ------
    ChandelierError
        If there are fewer events than steps.
    """
    if len(events) < steps:
        raise ChandelierError(f"it has {len(events)} events, and {steps} frames are to be made of them")
    counts = tonic.ToFrame(sensor_size=(SENSOR, SENSOR, 2), n_event_bins=steps)(events)  # steps, 2, rows, columns
    shares = _shares()
    ninths = shares @ counts.astype(np.float32) @ shares.T  # whole numbers below 2**24: exact
    return np.clip(ninths, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the file in front of what is wrong with it."""
    try:
        yield
    except ChandelierError as error:
        raise ChandelierError(f"{path}: {error}") from None


def _arrays(samples: dict[str, list[tuple[np.ndarray, int]]], steps: int) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for half, pairs in samples.items():
        x = np.empty((len(pairs), steps, SIDE, SIDE, 2), np.uint8)
        for i, (recording, _) in enumerate(pairs):
            x[i] = recording
        arrays |= {f"x_{half}": x, f"y_{half}": np.array([label for _, label in pairs], np.uint8)}
    return arrays


def _labels(path: Path) -> list[tuple[int, int, int]]:
    """Class, start and end in microseconds of each gesture of a recording."""
    lines = _data(path).decode("utf-8", "replace").split()[1:]
    found = [re.fullmatch(r"(\d{1,2}),(\d{1,10}),(\d{1,10})", line) for line in lines]
    for line, match in zip(lines, found, strict=True):
        if match is None or not 1 <= int(match[1]) <= 11:
            raise ChandelierError(f"{path}: no class of 1..11, start and end: {line[:40]!r}")
    return [(int(match[1]), int(match[2]), int(match[3])) for match in found if match]


def _published_gestures(tonic: Any, folder: Path, half: str) -> Iterator[tuple[np.ndarray, int]]:
    """Gestures of the recordings that trials_to_HALF.txt names, cut as their labels say."""
    names = folder / f"trials_to_{half}.txt"
    for name in _data(names).decode("utf-8", "replace").split():
        # The name goes into a path, and must not lead out of the folder.
        if re.fullmatch(r"\w+\.aedat", name) is None:
            raise ChandelierError(f"{names}: {name[:40]!r} is not the name of a recording")
        path = folder / name
        gestures = _labels(folder / f"{path.stem}_labels.csv")
        with _naming(path):
            events = read_aedat3(_data(path))
            for label, start, end in gestures:
                first, last = np.searchsorted(events["t"], [start, end])
                yield frames(tonic, events[first:last], GESTURE_STEPS), label - 1


def _cut_gestures(tonic: Any, folder: Path, half: str) -> Iterator[tuple[np.ndarray, int]]:
    """Gestures as tonic publishes them: ibmGestureHALF/user01_lab/LABEL.npy."""
    for path in sorted(folder.glob(f"ibmGesture{half.capitalize()}/*/*.npy")):
        with _naming(path):
            if re.fullmatch(r"10|\d", path.stem) is None:
                raise ChandelierError("it is not called after a class, 0..10")
            yield frames(tonic, read_npy(path), GESTURE_STEPS), int(path.stem)


def read_dvs128_gesture(path: Path) -> dict[str, np.ndarray]:
    """The arrays of DVS128 Gesture in the folder ``path``: as IBM publishes it, or as tonic does.

    Samples are (samples, 16, 48, 48, 2) bytes, see ``frames``; users 24..29 are the test half.

    Raises
    ------
    ChandelierError
        If tonic or a file is missing, or a file is damaged or too large; the line names it.
    """
    tonic = optional("tonic.transforms", "dvs128-gesture", "tonic")
    read = _published_gestures if (path / "trials_to_train.txt").is_file() else _cut_gestures
    return _arrays({half: list(read(tonic, path, half)) for half in ("train", "test")}, GESTURE_STEPS)


def read_cifar10_dvs(path: Path) -> dict[str, np.ndarray]:
    """The arrays of CIFAR10-DVS in the folder ``path``, which has one for each class: .aedat (2.0) or .aedat4 files.

    Samples are (samples, 10, 48, 48, 2) bytes, see ``frames``. Of each class, in alphabetical order of the files,
    nine tenths are the training half and the rest the test half, as in the paper.

    Raises
    ------
    ChandelierError
        If tonic or aedat is missing, or a file is damaged or too large; the line names it.
    """
    tonic = optional("tonic.transforms", "cifar10-dvs", "tonic")
    samples: dict[str, list[tuple[np.ndarray, int]]] = {"train": [], "test": []}
    with aedat4_decoder() as decoder:
        for label, name in enumerate(CIFAR10_CLASSES):
            files = sorted(file for file in (path / name).glob("*") if file.suffix in (".aedat", ".aedat4"))
            for i, file in enumerate(files):
                with _naming(file):
                    events = read_aedat4(file, decoder) if file.suffix == ".aedat4" else read_aedat2(_data(file))
                    sample = frames(tonic, events, CIFAR10_STEPS), label
                samples["train" if 10 * i < 9 * len(files) else "test"].append(sample)
    return _arrays(samples, CIFAR10_STEPS)
