"""A user's own images as network input: files, and whatever Python holds images in."""

import glob
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import track
from torch import Tensor

from fashion_lightning.errors import UserError
from fashion_lightning.photographs.background import Pixels
from fashion_lightning.photographs.prepare import Prepared, prepare

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

LISTED = Tensor | Image.Image | str | Path
"""What a list of images may hold beside numbers and arrays."""

SUFFIXES = set().union(*FORMATS.values())


def find_pictures(patterns: list[str]) -> list[Path]:
    """Resolve files, folders and globs to image files, in the order given and sorted within each.

    Raises:
        UserError: one of them names no image, or something else than a file.
    """
    found: list[Path] = []
    if not (patterns and all(pattern.strip() for pattern in patterns)):
        raise UserError("--images names no file; name files, folders or globs, or leave it out.")
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            matches = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        elif path.exists():
            matches = [path]
        else:
            matches = sorted(Path(match) for match in glob.glob(str(path)))
        if not matches:
            raise UserError(f"--images: there is no image at {pattern}.")
        for match in matches:
            if not match.is_file():  # a FIFO would be waited for, a device read without end
                raise UserError(f"--images: {match} is not a file.")
        found += matches
    return found


class Photographs(NamedTuple):
    """Image files as network input."""

    paths: list[Path]
    """The files that could be read."""
    images: Tensor
    """``(N, 1, 28, 28)`` uint8."""
    broken: list[str]
    """A line for each other file."""


def read_pictures(paths: list[Path], show_progress: bool = False) -> Photographs:
    """Read and prepare image files one after the other, so that one decoded picture at a time is in memory.

    Args:
        paths: the files.
        show_progress: show a bar if standard error is a terminal.

    Raises:
        UserError: none of the files can be read.
    """
    read: dict[Path, Pixels] = {}
    broken: list[str] = []
    hidden = not (show_progress and len(paths) > 1 and sys.stderr.isatty())
    for path in track(paths, "Preparing pictures", console=Console(stderr=True), transient=True, disable=hidden):
        try:
            read[path] = read_picture(path).pixels
        except UserError as error:
            broken.append(str(error))
    if not read:
        raise UserError(broken[0])
    return Photographs(list(read), torch.from_numpy(np.stack(list(read.values()))).unsqueeze(1), broken)


class UnknownFormat(UserError):
    """The content is no picture of ``FORMATS``."""


class TooManyPixels(UserError):
    """The decoded picture would take too much memory."""


def read_picture(file: Path | BinaryIO, name: str = "", max_pixels: int | None = None) -> Prepared:
    """Read one image file and prepare it; ``opened`` describes arguments and errors."""
    with opened(file, name, max_pixels) as picture:
        return prepare(picture)


@contextmanager
def opened(file: Path | BinaryIO, name: str = "", max_pixels: int | None = None) -> Iterator[Image.Image]:
    """Open an image file; it is decoded within the block. EXIF orientation is not applied; large JPEGs are smaller.

    Args:
        file: its path, or open at its beginning.
        name: its name in errors; the path by default.
        max_pixels: that are decoded, by the file's header; ``PIL.Image.MAX_IMAGE_PIXELS`` holds in any case, also for
            a JPEG, of which fewer are decoded.

    Raises:
        UnknownFormat: it is something else, or a format that is not opened.
        TooManyPixels: its header gives more.
        UserError: it is damaged.
    """
    name = name or str(file)
    try:
        with warnings.catch_warnings():
            # Above 89 million pixels. Among threads this may outlast the block, and be no error in another's: there
            # max_pixels is what counts.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # of EXIF data that are damaged
            with Image.open(file, formats=list(FORMATS)) as picture:
                # A JPEG is decoded at half, a quarter or an eighth of its size: faster, and in less memory.
                picture.draft(None, (DECODED_AT, DECODED_AT))
                pixels = picture.width * picture.height
                if max_pixels is not None and pixels > max_pixels:
                    raise TooManyPixels(
                        f"{name} has {pixels / 1e6:,.1f} million pixels, of {max_pixels / 1e6:g} at most."
                    )
                yield picture
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(f"{name} has too many pixels. Make it smaller; 28x28 are used.") from error
    except UnidentifiedImageError as error:
        raise UnknownFormat(f"{name} cannot be read as an image ({', '.join(FORMATS)} can).") from error
    except Exception as error:  # PIL raises a dozen kinds for damaged bytes
        raise UserError(f"{name} cannot be read as an image ({error or type(error).__name__}).") from error


def as_batch(images: Any) -> Tensor:
    """Convert one image or many, in any of the usual forms, to ``(B, 1, 28, 28)``: uint8, or float32 in [0, 1].

    Args:
        images: tensor, array or nested lists ``(28, 28)``, ``(1, 28, 28)``, ``(B, 28, 28)`` or ``(B, 1, 28, 28)``, of
            whole numbers from 0 to 255 or of floats from 0 to 1; a PIL image of any size, or the path of a file with
            one; or a list of any of them.

    Raises:
        UserError: it is none of them, or a file cannot be read; the message says what would be right.
    """
    if isinstance(images, list | tuple) and any(isinstance(part, LISTED) for part in images):
        parts = [as_batch(part).cpu() for part in images]
        if len({part.dtype for part in parts}) > 1:  # pixels of files beside floats
            parts = [part if part.is_floating_point() else part / 255 for part in parts]
        return torch.cat(parts)
    pixels = _tensor(images)
    shape = tuple(pixels.shape)
    if len(shape) not in (2, 3, 4) or shape[-2:] != (28, 28) or (len(shape) == 4 and shape[1] != 1):
        raise UserError(
            f"Images of shape {shape} cannot be classified: it must be (28, 28), (1, 28, 28), (B, 28, 28) or"
            " (B, 1, 28, 28). Pictures of another size or in colour: give files or PIL images (Image.fromarray)."
        )
    batch = pixels.reshape(-1, 1, 28, 28)
    if batch.dtype == torch.uint8 or not len(batch):
        return batch.to(torch.uint8)
    values = batch.double()  # torch cannot compare all of its kinds of whole numbers
    low, high = values.min().item(), values.max().item()
    if batch.is_floating_point() and 0 <= low <= high <= 1:  # not NaN either
        return batch.float()
    if not batch.is_floating_point() and batch.dtype != torch.bool and 0 <= low <= high <= 255 and not 0 < high <= 1:
        return batch.to(torch.uint8)
    raise UserError(
        f"Pixels of {str(batch.dtype).removeprefix('torch.')} from {low:g} to {high:g} cannot be classified: give whole"
        " numbers from 0 to 255, or floats in [0, 1], black is 0, that are not normalized."
    )


def _tensor(images: Any) -> Tensor:
    """Convert one image, or numbers."""
    if isinstance(images, Tensor):
        return images
    if isinstance(images, Image.Image):
        return torch.from_numpy(prepare(images).pixels)
    if isinstance(images, str | Path):
        path = Path(images).expanduser()
        if not path.is_file():  # a FIFO would be waited for
            raise UserError(f"There is no image file {path}.")
        return torch.from_numpy(read_picture(path).pixels)
    try:
        return torch.from_numpy(np.array(images))
    except (TypeError, ValueError) as error:  # nothing, or rows of several lengths
        raise UserError(
            f"{type(images).__name__} cannot be classified ({str(error).splitlines()[0][:100]}): give images as a"
            " tensor, an array or lists of equal length, PIL images, or paths of files."
        ) from error
