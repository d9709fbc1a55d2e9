"""A user's own image files as network input."""

import glob
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from fashion_lightning.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


def find_pictures(patterns: list[str]) -> list[Path]:
    """Resolve files, folders and globs to image files, in the order given and sorted within each.

    Raises:
        UserError: one of them names no image.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            matches = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        elif path.exists():
            matches = [path]
        else:
            matches = sorted(Path(match) for match in glob.glob(str(path)))
        if not matches:
            raise UserError(f"--data.images: there is no image at {pattern}.")
        found += matches
    return found


def read_pictures(paths: list[Path]) -> Tensor:
    """Read image files as grey pictures of 28x28 pixels, ``(N, 1, 28, 28)`` uint8.

    The data set shows clothing bright on black; a file must already be like that.

    Raises:
        UserError: a file cannot be read as an image.
    """
    pixels = np.stack([_read(path) for path in paths])
    return torch.from_numpy(pixels).unsqueeze(1)


def _read(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    try:
        with Image.open(path) as image:
            grey = ImageOps.pad(ImageOps.exif_transpose(image).convert("L"), (28, 28), color=0)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}).") from error
    return np.asarray(grey, dtype=np.uint8)
