"""A user's own image files as network input."""

import glob
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

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


def read_pictures(paths: list[Path]) -> Tensor:
    """Read image files as grey pictures of 28x28 pixels, ``(N, 1, 28, 28)`` uint8.

    The data set shows clothing bright on black; a file must already be like that.

    Raises:
        UserError: a file cannot be read as an image, or has more pixels than ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    pixels = np.stack([_read(path) for path in paths])
    return torch.from_numpy(pixels).unsqueeze(1)


def _read(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # above 89 million pixels
            with Image.open(path, formats=list(FORMATS)) as image:
                grey = ImageOps.pad(ImageOps.exif_transpose(image).convert("L"), (28, 28), color=0)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path} has too many pixels ({error}). Make it smaller; 28x28 are used.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} cannot be read as an image ({', '.join(FORMATS)} can).") from error
    except Exception as error:  # PIL raises a dozen kinds for damaged bytes
        raise UserError(f"{path} cannot be read as an image ({error or type(error).__name__}).") from error
    return np.asarray(grey, dtype=np.uint8)
