"""The idx format of MNIST and its relatives, read with numpy and gzip alone."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError

UNSIGNED_BYTE = 0x08
#: refuse what a damaged or hostile header announces beyond this, before anything is read
LARGEST = 4 * 1024**3


def read(path: Path, ndim: int) -> NDArray[np.uint8]:
    """The array of an idx file of unsigned bytes, plain or `.gz`.

    Args:
        path: the file.
        ndim: dimensions it must have: 3 for images (n, H, W), 1 for labels (n,).

    Raises:
        DataError: not an idx file of bytes of that many dimensions, cut short, or with something behind the data.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] != UNSIGNED_BYTE or head[3] != ndim:
                raise DataError(f"{path} does not start like an idx file of bytes in {ndim} dimensions: {head.hex()}")
            sizes = file.read(4 * ndim)
            if len(sizes) < 4 * ndim:
                raise DataError(f"{path} ends inside its header")
            shape = struct.unpack(f">{ndim}I", sizes)
            expected = math.prod(shape)
            if not 0 < expected <= LARGEST:
                raise DataError(f"{path} announces an array of shape {shape}, from 1 to {LARGEST:,} bytes can be read")
            content = file.read(expected + 1)
    except (OSError, EOFError) as e:
        raise DataError(f"{path} cannot be read: {e}") from e
    if len(content) != expected:
        what = "is cut short" if len(content) < expected else "has something behind its data"
        raise DataError(f"{path} {what}: {expected:,} bytes were announced")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
