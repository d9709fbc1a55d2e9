"""Read IDX, the format of MNIST's files: a header, then the raw values."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashion_lightning.errors import UserError

KINDS = {8: ">u1", 12: ">i4"}


def content_of(path: Path) -> bytes:
    """Return the content of a file, uncompressed if it is gzip; raise a ``UserError`` if that is damaged."""
    content = path.read_bytes()
    try:
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}).") from error


def parse_idx(content: bytes, path: Path) -> NDArray[np.integer]:
    """Return the values of an uncompressed IDX file; ``path`` names it in errors."""
    kind, begin = (content[2], 4 + 4 * content[3]) if len(content) > 4 else (0, 0)
    shape = [int.from_bytes(content[at : at + 4]) for at in range(4, begin, 4)]
    dtype = np.dtype(KINDS.get(kind, ">u1"))
    if kind not in KINDS or content[:2] != b"\0\0" or len(content) - begin != math.prod(shape) * dtype.itemsize:
        raise UserError(f"{path} is not a complete IDX file of integers.")
    return np.frombuffer(content, dtype, offset=begin).reshape(shape)
