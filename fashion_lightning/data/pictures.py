"""A user's own image files as network input."""

import glob
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from fashion_lightning.data.background import Pixels
from fashion_lightning.data.photographs import Prepared, prepare
from fashion_lightning.errors import UserError

FORMATS = {
    "BMP": {".bmp"},
    "GIF": {".gif"},
    "JPEG": {".jpg", ".jpeg"},
    "PNG": {".png"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
}
"""What is opened, by content, and its usual suffixes. PIL knows more formats: it would start Ghostscript for EPS."""

DECODED_AT = 512
"""Pixels of the shorter edge that a JPEG keeps at least: twice what the garment is looked for in."""

SUFFIXES = set().union(*FORMATS.values())


def find_pictures(patterns: list[str]) -> list[Path]:
    """Resolve files, folders and globs to image files, in the order given and sorted within each.

    Raises:
        UserError: one of them names no image, or something else than a file.
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
        for match in matches:
            if not match.is_file():  # a FIFO would be waited for, a device read without end
                raise UserError(f"--data.images: {match} is not a file.")
        found += matches
    return found


def read_pictures(paths: list[Path], show_progress: bool = False) -> tuple[list[Path], Tensor, list[str]]:
    """Read and prepare image files one after the other, so that one decoded picture at a time is in memory.

    Args:
        paths: of the files.
        show_progress: with a bar, where standard error is a terminal.

    Returns:
        The files that could be read, their pixels ``(N, 1, 28, 28)`` uint8, and a line for each other file.

    Raises:
        UserError: none of the files can be read.
    """
    read: list[Path] = []
    pixels: list[Pixels] = []
    broken: list[str] = []
    bar = Progress(*Progress.get_default_columns(), console=Console(stderr=True), transient=True)
    bar.disable = not (show_progress and len(paths) > 1 and sys.stderr.isatty())
    with bar:
        for path in bar.track(paths, description="Preparing pictures"):
            try:
                pixels.append(read_picture(path).pixels)
                read.append(path)
            except UserError as error:
                broken.append(str(error))
    if not read:
        raise UserError(broken[0])
    return read, torch.from_numpy(np.stack(pixels)).unsqueeze(1), broken


def read_picture(path: Path) -> Prepared:
    """Read one image file and prepare it.

    Raises:
        UserError: it cannot be read as an image, or has more pixels than ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # above 89 million pixels
            with Image.open(path, formats=list(FORMATS)) as picture:
                # A JPEG is decoded at half, a quarter or an eighth of its size: faster, and in less memory.
                picture.draft(None, (DECODED_AT, DECODED_AT))
                return prepare(picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path} has too many pixels ({error}). Make it smaller; 28x28 are used.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} cannot be read as an image ({', '.join(FORMATS)} can).") from error
    except Exception as error:  # PIL raises a dozen kinds for damaged bytes
        raise UserError(f"{path} cannot be read as an image ({error or type(error).__name__}).") from error
