"""Inputs that were no line once, by reader: what happened, and what makes such an input of the reader's first seed."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from numcodecs import Blosc

from hw.protocol import ANSWER, Frame, FrameDecoder, Greeting, Message

__all__ = ["FOUND"]


def _in_header(change: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    """A change in the header of a file of tensors."""

    def make(seed: bytes) -> bytes:
        (length,) = struct.unpack_from("<Q", seed)
        header = json.loads(seed[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + seed[8 + length :]

    return make


def _in_json(change: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    def make(seed: bytes) -> bytes:
        value = json.loads(seed)
        change(value)
        return json.dumps(value).encode()

    return make


def _with(changes: Mapping[int, str]) -> Callable[[bytes], bytes]:
    """Other bytes, in hexadecimal, at some offsets."""

    def make(seed: bytes) -> bytes:
        data = bytearray(seed)
        for offset, text in changes.items():
            changed = bytes.fromhex(text)
            data[offset : offset + len(changed)] = changed
        return bytes(data)

    return make


def _in_zip(change: Callable[[str, bytes], bytes]) -> Callable[[bytes], bytes]:
    def make(seed: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(seed)) as whole, zipfile.ZipFile(buffer, "w") as damaged:
            for name in whole.namelist():
                damaged.writestr(name, change(name, whole.read(name)))
        return buffer.getvalue()

    return make


def _in_greeting(**changes: Any) -> Callable[[bytes], bytes]:
    def make(seed: bytes) -> bytes:
        greeting, *others = FrameDecoder().feed(seed)
        said = replace(Greeting.unpack(greeting.payload), **changes)
        frames = [Frame(ANSWER | Message.PING, 0, said.pack()), *others]
        return b"".join(frame.encode() for frame in frames)

    return make


def _of_chunks(data: bytes) -> bytes:
    """A chunk of blosc that says that it has four billion bytes."""
    chunk = bytearray(Blosc().encode(data))
    chunk[4:8] = b"\xff" * 4
    return bytes(chunk)


_NAME = {"dtype": "F32", "shape": [1], "data_offsets": [1 << 40, (1 << 40) + 4]}

FOUND: Mapping[str, Mapping[str, Callable[[bytes], bytes]]] = {
    "aedat 4": {"the decoder ends its process": lambda seed: seed.replace(b"</attr>", b"</a\xd5tr>", 1)},
    "nir graph": {
        "HDF5's library ends the process": _with(
            {
                18112: "48",
                18192: "7200000000000000010000000000000010",
                18494: "050040",
                21001: "0202010000000008001800000000000301" + "ff" * 16 + "00" * 8 + "88" + "00" * 29,
                34401: "5f",
            }
        )
    },
    "idx": {
        "zlib.error": lambda seed: b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff" + seed,
        "nothing, of two huge sizes": lambda seed: seed[:4] + b"\xff" * 8 + b"\0" * 4,
    },
    "zarr": {
        "division by zero": _in_zip(lambda name, data: data.replace(b'"chunk_shape": [2', b'"chunk_shape": [0')),
        "SystemError": _in_zip(lambda name, data: data if name.endswith(".json") else _of_chunks(data)),
        "EOFError": lambda seed: seed.replace(
            b"PK\x01\x02\x14\x03\x14\0\0\0\0\0", b"PK\x01\x02\x14\x03\x14\0\0\0\x08\0"
        ),
    },
    "manifest": {
        "zip of unequal lengths": _in_json(lambda manifest: manifest["load"]["alike"].pop()),
        "room for terabytes": _in_json(lambda manifest: manifest["layers"][0].update(n_e=1 << 21, d=1 << 21)),
    },
    "host": {
        "nothing is ever sent": _in_greeting(window=0),
        "codes of more bits than a byte": _in_greeting(bits=20),
        "room for gigabytes": _in_greeting(features=1 << 31, image_words=1),
    },
    "deepeisnn tensors": {
        "a line break in a name": _in_header(lambda header: header.update({"a\nb": _NAME})),
        "a line of thousands of characters": _in_header(lambda header: header.update({"9" * 5000: _NAME})),
    },
}
