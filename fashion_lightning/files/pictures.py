"""Open picture files, a user's or a stranger's, within bounds, and reduce them to squares."""

import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from fashion_lightning.errors import UserError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Formats to open; the content decides, not the suffix. PIL knows more: for EPS it would start Ghostscript."""

DECODED_AT = 512
"""A JPEG's shorter edge is decoded to at least this many pixels: twice the size in which garments are searched for."""

LONGEST_EDGE = 1024
"""Pixels of a picture's longest edge; larger pictures are reduced. Bounds the memory of a crop that reaches beyond
the picture."""


class UnknownFormat(UserError):
    """The file's content is not a picture in one of the ``FORMATS``."""


class TooManyPixels(UserError):
    """The decoded picture would take too much memory."""


@contextmanager
def opened(
    file: Path | BinaryIO, name: str = "", max_pixels: int | None = None, without: Collection[str] = ()
) -> Iterator[Image.Image]:
    """Open an image file to decode within the block. Does not apply EXIF orientation; large JPEGs come reduced.

    Args:
        file: its path, or the file, open at its beginning.
        name: its name in errors; the path by default.
        max_pixels: limit on the pixels to decode, checked on the file's header. ``PIL.Image.MAX_IMAGE_PIXELS`` always
            holds, and counts all pixels of a JPEG, even those that are not decoded.
        without: formats to refuse.

    Raises:
        UnknownFormat: it is not an image, or of a format that is refused.
        TooManyPixels: its header states more than ``max_pixels``, or than PIL or the memory allows.
        UserError: it is damaged.
    """
    name = name or str(file)
    try:
        with warnings.catch_warnings():
            # Raised above 89 million pixels. Threads share warning filters, so one may undo another's; max_pixels then
            # still holds.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # damaged EXIF data
            with Image.open(file, formats=[kind for kind in formats() if kind not in without]) as picture:
                # A JPEG is decoded at half, a quarter or an eighth of its size: faster, and in less memory.
                picture.draft(None, (DECODED_AT, DECODED_AT))
                pixels = picture.width * picture.height
                if max_pixels is not None and pixels > max_pixels:
                    raise TooManyPixels(
                        f"{name} has {pixels / 1e6:,.1f} million pixels; the limit is {max_pixels / 1e6:g} million."
                    )
                yield picture
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise TooManyPixels(f"{name} has too many pixels. Make it smaller.") from error
    except UnidentifiedImageError as error:
        if "HEIF" not in formats() and _is_heic(file):
            raise UnknownFormat(f"{name} is a HEIC picture, as iPhones take them: pip install pillow-heif") from error
        raise UnknownFormat(
            f"{name} cannot be read as an image (one of {', '.join(kind for kind in FORMATS if kind not in without)})."
        ) from error
    except Exception as error:  # PIL raises a dozen kinds for damaged bytes
        raise UserError(f"{name} cannot be read as an image ({error or type(error).__name__}).") from error


@cache
def formats() -> list[str]:
    """Return the formats to open, with that of iPhones if pillow-heif is installed."""
    if find_spec("pillow_heif") is None:
        return [*FORMATS]
    import_module("pillow_heif").register_heif_opener()
    return [*FORMATS, "HEIF"]


def _is_heic(file: Path | BinaryIO) -> bool:
    """Check whether a file begins like a HEIC file."""
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as content:
        content.seek(0)
        return content.read(12)[4:] in (b"ftypheic", b"ftypheix", b"ftypmif1")


Item = TypeVar("Item")
Read = TypeVar("Read")


def read_each(
    items: Sequence[Item], read: Callable[[Item], Read], broken: list[str], show_progress: bool = True
) -> Iterator[tuple[Item, Read]]:
    """Read pictures one after another, with a progress bar on a terminal; append each failure's error to ``broken``."""
    hidden = not (show_progress and len(items) > 1 and sys.stderr.isatty())
    for item in track(items, "Preparing pictures", console=Console(stderr=True), transient=True, disable=hidden):
        try:
            yield item, read(item)
        except UserError as error:
            broken.append(str(error))


def is_hidden(name: str) -> bool:
    """Check whether a file is hidden (its name begins with a dot) or was made by a file manager."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")


def square(picture: Image.Image, size: int, channels: int) -> NDArray[np.uint8]:
    """Reduce a picture to a square.

    Keeps all of it by reducing the longer edge more. That distorts shapes, but in training and prediction alike.

    Returns:
        ``(size, size)`` uint8 if ``channels`` is 1, else ``(size, size, 3)``.
    """
    reduced = upright(picture).resize((size, size), Image.Resampling.BILINEAR)
    return np.array(reduced.convert("L") if channels == 1 else reduced)


def upright(picture: Image.Image) -> Image.Image:
    """Apply EXIF orientation, fill transparency with white, and return RGB with no edge above ``LONGEST_EDGE``."""
    with suppress(SyntaxError):  # damaged EXIF data, which PIL then ignores
        picture.getexif()
    picture = in_eight_bits(ImageOps.exif_transpose(picture))
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    picture = picture.convert("RGB")
    if (longest := max(picture.size)) > LONGEST_EDGE:  # as ImageOps.contain, but never below one pixel
        picture = picture.resize(
            [max(1, round(edge / longest * LONGEST_EDGE)) for edge in picture.size], Image.Resampling.BOX
        )
    return picture


def in_eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit or float pixels to 8 bits; PIL would clip values above 255."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.where(  # a PNG's transparent level becomes white
        np.asarray(picture) == picture.info.get("transparency", np.nan), 65535, np.asarray(picture)
    ).astype(np.float64)
    low, high = (0.0, 65535.0) if picture.mode.startswith("I") else (float(values.min()), float(values.max()))
    return Image.fromarray(np.clip(((values - low) * 255 / max(high - low, 1e-9)).round(), 0, 255).astype(np.uint8))
