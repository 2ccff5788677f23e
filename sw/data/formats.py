"""File formats that data sets come in: IDX (the MNIST family), and the zarr arrays of one wheel."""

import gzip
import hashlib
import io
import json
import math
import struct
import zipfile
import zlib

import numpy as np

from quant.errors import ChandelierError

__all__ = ["idx_bytes", "read_idx", "read_zarr", "sha256"]

_MOST_IDX = 1 << 28


def sha256(data: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


def idx_bytes(array: np.ndarray) -> bytes:
    """``array`` (uint8 or float32) as the bytes of an IDX file (LeCun, mnist): magic, sizes, values, big-endian."""
    kind = {np.dtype(np.uint8): 0x08, np.dtype(np.float32): 0x0D}[array.dtype]
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">"), copy=False).tobytes()


def read_idx(data: bytes) -> np.ndarray:
    """The uint8 array of an IDX file, gzipped or not.

    Raises
    ------
    ChandelierError
        If it is not an IDX file of bytes, or its length is not what its header says.
    """
    try:
        if data[:2] == b"\x1f\x8b":
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_MOST_IDX + 1)  # a bomb is not unpacked
        zero, kind, rank = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{rank}I", data, 4)
    except (struct.error, OSError, EOFError, zlib.error) as error:
        raise ChandelierError(f"not an IDX file: {error}") from None
    # numpy bounds the product of all sizes but those that are zero.
    size, room = math.prod(shape), math.prod(max(1, n) for n in shape)
    if zero != 0 or kind != 8 or not 1 <= rank <= 4 or room > _MOST_IDX or len(data) != 4 + 4 * rank + size:
        raise ChandelierError(f"not an IDX file of bytes: type {kind}, shape {shape}, {len(data)} bytes")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_zarr(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """The array ``name`` of a zarr v3 group in a zip: uint8, regular chunks along the first axis, blosc.

    Raises
    ------
    ChandelierError
        If it is of any other kind.
    """
    from numcodecs import Blosc

    try:
        meta = json.loads(archive.read(f"{name}/zarr.json"))
        shape, chunk = meta["shape"], meta["chunk_grid"]["configuration"]["chunk_shape"]
        codecs = [codec["name"] for codec in meta["codecs"]]
        if meta["data_type"] != "uint8" or codecs != ["bytes", "blosc"] or chunk[1:] != shape[1:]:
            raise ChandelierError(f"{name}: not uint8 in blosc chunks of whole samples: {meta['data_type']}, {codecs}")
        tail = "/0" * (len(shape) - 1)
        chunks = range(-(-shape[0] // chunk[0]))
        data = b"".join(Blosc().decode(archive.read(f"{name}/c/{i}{tail}")) for i in chunks)
        return np.frombuffer(data, np.uint8)[: int(np.prod(shape))].reshape(shape)
    except ChandelierError:
        raise
    except Exception as error:  # damaged bytes raise whatever the readers of zip and blosc happen to run into
        raise ChandelierError(f"{name}: not the zarr array that was expected: {error}") from None
