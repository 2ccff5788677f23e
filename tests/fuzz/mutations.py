"""How valid inputs are damaged: any bytes, words, values of JSON, and parts of files whose checksums are put right."""

import gzip
import io
import json
import random
import re
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import h5py

from hw.protocol import END, Frame, FrameDecoder

__all__ = [
    "Mutator",
    "any_bytes",
    "any_text",
    "any_value",
    "by_name",
    "graph_values",
    "in_frames",
    "in_gzip",
    "in_json",
    "in_npy",
    "in_safetensors",
    "in_tar",
    "in_zip",
    "json_text",
    "or_bytes",
]

#: What makes another input of one. It may fail with any ``Exception`` on what is not of its format.
Mutator = Callable[[random.Random, bytes], bytes]

_NUMBERS = (0, 1, 2, 3, 7, 8, 9, 127, 128, 255, 256, 4096, 65535, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_LARGE = (1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 100)
_FRACTIONS = (0.5, -0.0, 1e-9, 1e-320, 1e18, 1.7e308, float("inf"), float("nan"))
_WORDS = ("", "a", "0", "-1", "nan", "..", "/", "\n", "\0", "\udcff", "s8.4", "P2", "9" * 5000)


def any_bytes(rng: random.Random, data: bytes) -> bytes:
    """A few bytes changed, put in, taken out or copied, anywhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(changed) + 1)
        end = place + rng.choice((1, 1, 2, 4, 8, rng.randrange(64)))
        match rng.randrange(7):
            case 0:
                changed[place:end] = bytes(byte ^ 1 << rng.randrange(8) for byte in changed[place:end][:1])
            case 1:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 2:
                del changed[place:end]
            case 3:
                changed[place:place] = changed[rng.randrange(len(changed) + 1) :][: end - place]
            case 4:
                size = rng.choice((1, 2, 4, 8))
                number = rng.choice((*_NUMBERS, *_LARGE)) % (1 << 8 * size)
                changed[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))
            case 5:
                changed[place:place] = bytes(end - place)
            case _ if rng.random() < 0.2:
                del changed[place:]
    return bytes(changed)


def any_value(rng: random.Random, value: Any) -> Any:
    """Another value in the place of one of JSON: near it, at the edge of something, or of another type."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match rng.randrange(8):
        case 0 | 1 if number:
            return rng.choice((value + 1, value - 1, -value, value * 2))
        case 2:
            return rng.choice((*_NUMBERS, *_LARGE)) * rng.choice((1, 1, -1))
        case 3:
            return rng.choice(_FRACTIONS)
        case 4:
            return rng.choice(_WORDS)
        case 5 if isinstance(value, str):
            return any_text(list(_WORDS))(rng, value.encode("utf-8", "replace")).decode("utf-8", "replace")
        case 5 | 6 if isinstance(value, list):
            return rng.choice(([*value, *value], value[:-1], value[::-1], [], [value], rng.sample(value, len(value))))
        case _:
            return rng.choice((None, True, [], {}, [value], {"a": value}, value))


def in_json(rng: random.Random, value: Any) -> Any:
    """The value with something in it changed, taken out or put in twice; JSON in a string is looked into, too."""
    if isinstance(value, str) and value[:1] in ("{", "[") and rng.random() < 0.9:
        return json.dumps(in_json(rng, json.loads(value)))
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return any_value(rng, value)
    changed: Any = value.copy()
    key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    if rng.random() < 0.1:
        del changed[key]
    elif rng.random() < 0.1 and isinstance(changed, list):
        changed.insert(key, value[key])
    elif rng.random() < 0.1 and isinstance(changed, dict):
        changed[rng.choice(_WORDS)] = value[key]
    else:
        changed[key] = in_json(rng, value[key])
    return changed


def json_text(rng: random.Random, data: bytes) -> bytes:
    """JSON with a value changed."""
    return json.dumps(in_json(rng, json.loads(data))).encode("utf-8", "replace")


def any_text(vocabulary: Sequence[str]) -> Mutator:
    """Words and signs of text changed, taken out, put in or exchanged; some of them come from the vocabulary."""

    def mutate(rng: random.Random, data: bytes) -> bytes:
        words = re.findall(r"\w+|\W", data.decode("utf-8", "replace"))
        for _ in range(rng.choice((1, 1, 2, 4))):
            place = rng.randrange(len(words) + 1)
            other = rng.choice((str(rng.choice((*_NUMBERS, *_LARGE, *_FRACTIONS))), rng.choice(vocabulary), *words[:1]))
            match rng.randrange(5):
                case 0:
                    words[place : place + 1] = [other]
                case 1:
                    words[place:place] = [other]
                case 2:
                    del words[place : place + rng.randrange(1, 9)]
                case 3:
                    words[place:place] = words[rng.randrange(len(words) + 1) :][: rng.randrange(1, 20)]
                case _:
                    words[place:place] = [rng.choice("[]{}()\"'=.,-+\n\t #\0\u0660\u2028") * rng.choice((1, 1, 2, 300))]
        return "".join(words).encode("utf-8", "replace")

    return mutate


def or_bytes(*mutators: Mutator) -> Mutator:
    """One of the mutators, or now and then, and for what is not of their format, any bytes."""

    def mutate(rng: random.Random, data: bytes) -> bytes:
        if rng.random() < 0.2:
            return any_bytes(rng, data)
        try:
            return rng.choice(mutators)(rng, data)
        except Exception:  # an earlier mutation made it something else
            return any_bytes(rng, data)

    return mutate


def in_safetensors(rng: random.Random, data: bytes) -> bytes:
    """The header, JSON, with its length put right; or the numbers of the tensors."""
    (length,) = struct.unpack_from("<Q", data)
    header, tensors = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.2:
        return data[: 8 + length] + any_bytes(rng, tensors)
    changed = json.loads(header)
    if rng.random() < 0.7 and "__metadata__" in changed:
        changed["__metadata__"] = in_json(rng, changed["__metadata__"])
    else:
        changed = in_json(rng, changed)
    text = json.dumps(changed).encode("utf-8", "replace")
    return struct.pack("<Q", len(text)) + text + tensors


def in_npy(rng: random.Random, data: bytes) -> bytes:
    """The header, a Python literal, with its length put right; or the numbers."""
    (length,) = struct.unpack_from("<H", data, 8)
    header, numbers = data[10 : 10 + length], data[10 + length :]
    if rng.random() < 0.3:
        return data[: 10 + length] + any_bytes(rng, numbers)
    words = ["'<f4'", "'|O'", "'<U3'", "'|V8'", "'<M8[s]'", "[('a','<i4')]", "(0,)", "(-1,)", "True", "None", "'descr'"]
    text = any_text(words)(rng, header)[:65535]
    return data[:8] + struct.pack("<H", len(text)) + text + numbers


def in_zip(inner: Callable[[str], Mutator]) -> Mutator:
    """One of the files in a zip, by the mutator for its name; checksums are right."""

    def mutate(rng: random.Random, data: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = [(name, archive.read(name)) for name in archive.namelist()]
        victim = rng.randrange(len(parts))
        name, content = parts[victim]
        parts[victim] = (name, inner(name)(rng, content)) if rng.random() < 0.9 else (name + "x", content)
        if rng.random() < 0.1:
            parts.append(rng.choice(parts))
        buffer, packing = io.BytesIO(), rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        with zipfile.ZipFile(buffer, "w", packing) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that comes twice
            for each in parts:
                archive.writestr(*each)
        return buffer.getvalue()

    return mutate


def in_gzip(inner: Mutator) -> Mutator:
    """What is compressed."""

    def mutate(rng: random.Random, data: bytes) -> bytes:
        return gzip.compress(inner(rng, gzip.decompress(data)), 1, mtime=0)

    return mutate


def in_tar(inner: Mutator) -> Mutator:
    """Content, name, size or kind of a file in a tar; checksums are right."""

    def mutate(rng: random.Random, data: bytes) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files = [(member, archive.extractfile(member)) for member in archive]
            parts = [(member, file.read() if file else b"") for member, file in files]
        victim = rng.randrange(len(parts))
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for i, (member, content) in enumerate(parts):
                if i == victim:
                    content = inner(rng, content) if rng.random() < 0.6 else content
                    member.name = member.name if rng.random() < 0.8 else rng.choice(("../x", "/x", "x/" * 40, "test"))
                    member.type = member.type if rng.random() < 0.9 else rng.choice((b"1", b"2", b"5", b"S", b"x"))
                    member.linkname = rng.choice((member.name, "test", "/etc/passwd"))
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return buffer.getvalue()

    return mutate


def in_frames(rng: random.Random, data: bytes) -> bytes:
    """Type, sequence number or payload of one of the frames on a line; its length and CRC are right."""
    frames = list(FrameDecoder().feed(data + bytes([END])))
    victim = rng.randrange(len(frames))
    frame = frames[victim]
    kind, sequence, payload = frame.kind, frame.sequence, frame.payload
    match rng.randrange(6):
        case 0:
            kind = rng.choice((*range(8), 0x81, 0x82, 0x83, 0x84, 0xFF, rng.randrange(256)))
        case 1:
            sequence = rng.randrange(256)
        case 2:
            frames.insert(rng.randrange(len(frames) + 1), rng.choice(frames))
        case _:
            payload = any_bytes(rng, payload)
    frames[victim] = Frame(kind, sequence, payload[:65535])
    return b"".join(each.encode() for each in frames)


def graph_values(words: Sequence[str]) -> Mutator:
    """The value of one of the datasets of an HDF5 file, or the place of one in it."""

    def mutate(rng: random.Random, data: bytes) -> bytes:
        buffer = io.BytesIO(data)
        with h5py.File(buffer, "r+") as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            name = rng.choice(names)
            value = file[name][()]
            value = (
                value.decode("utf-8", "replace")
                if isinstance(value, bytes)
                else getattr(value, "tolist", lambda: value)()
            )
            del file[name]
            if rng.random() < 0.9:
                changed = rng.choice(words) if isinstance(value, str) and rng.random() < 0.7 else in_json(rng, value)
                file[name if rng.random() < 0.95 else rng.choice(names) + "x"] = changed
        return buffer.getvalue()

    return mutate


def by_name(mutators: Mapping[str, Mutator], default: Mutator = any_bytes) -> Callable[[str], Mutator]:
    """The mutator for the end of a name."""
    return lambda name: next((mutate for end, mutate in mutators.items() if name.endswith(end)), default)
