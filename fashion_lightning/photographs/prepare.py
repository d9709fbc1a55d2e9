"""Turn a user's picture into a network's input: orient it, fill transparency with white, reduce it to a square.

A garment on a plain background is framed closely, however small it is. From any other picture, a network for
photographs gets the square in the middle; other networks get the whole picture. A network trained on your own pictures
always gets the whole picture.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from fashion_lightning.data.classes import FASHION_MNIST, ImageSpec
from fashion_lightning.files.pictures import square, upright

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""

LOOKED_AT = 256
"""Garments are searched for in the picture reduced to this longest edge, which averages noise."""

CLOSE = 13
"""A pixel this close to the background's colour is background: 5 % of 255 levels, as in arXiv 1708.07747, section 2."""

PLAIN = 0.9
"""A background is plain if this share of the picture's border is close to the border's median colour."""

FILLED = 0.85
"""The share of a frame's edge that a garment fills, as on average in the renderings for training."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Prepared:
    """A picture as the network sees it."""

    pixels: Pixels
    """``(28, 28)`` uint8, bright on black; for other networks ``(size, size)`` or ``(size, size, 3)``, as it looks."""
    box: Box
    """The part that the network sees, as fractions of the upright picture's width and height; may reach beyond it."""


def prepare(picture: Image.Image, images: ImageSpec = FASHION_MNIST, box: Box | None = None) -> Prepared:
    """Make a network's input from a picture of any mode and size.

    A grey picture of 28x28 with dark corners counts as an image of the data set, one with light corners as a negative.

    Args:
        picture: as it is stored.
        images: the images that the network takes.
        box: the part that the network must see, in fractions of the upright picture; by default it is searched for.
    """
    rgb = upright(picture)
    width, height = rgb.size
    whole = (0.0, 0.0, float(width), float(height))
    given = None if box is None else (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    if images != FASHION_MNIST and not images.photographs:
        pixels, seen = square(_cut(rgb, given or whole), images.size, images.channels), given or whole
    else:
        is_grey = rgb.size == (28, 28) and len({band.tobytes() for band in rgb.split()}) == 1
        # In the 5,000 validation images, no corner is above 73; in their negatives, none is below 182.
        corners = np.asarray(rgb)[[0, 0, -1, -1], [0, -1, 0, -1], 0] if is_grey else np.array([0, 255])
        if corners.max() < 128:
            rgb = ImageOps.invert(rgb)
        if not images.photographs and (corners.max() < 128 or corners.min() >= 128):
            pixels, seen = 255 - np.asarray(rgb.convert("L")), whole
        elif images.photographs:
            seen = given or _frame(rgb)
            pixels = np.asarray(_reduced(_cut(rgb, seen), (images.size, images.size)))
        else:
            seen = given or find_garment(rgb) or whole
            pixels = _bright_on_black(_cut(rgb, seen), _ground(_looked_at(rgb)))
    return Prepared(pixels, (seen[0] / width, seen[1] / height, seen[2] / width, seen[3] / height))


def find_garment(rgb: Image.Image) -> Box | None:
    """Return the box, in pixels, of what stands out from a plain background; ``None`` if there is no such thing."""
    pixels = _looked_at(rgb)
    off = np.abs(pixels - _ground(pixels)).max(2)
    stands_out = off > CLOSE
    padded = np.pad(stands_out, 1).astype(np.uint8)
    height, width = stands_out.shape
    around = sum(padded[y : y + height, x : x + width] for y in range(3) for x in range(3))
    stands_out &= around >= 4  # ignore specks
    if _border(off <= CLOSE).mean() < PLAIN or not stands_out.any():
        return None
    across, down = (np.flatnonzero(stands_out.any(axis)) for axis in (0, 1))
    x, y = rgb.width / width, rgb.height / height
    return across[0] * x, down[0] * y, (across[-1] + 1) * x, (down[-1] + 1) * y


def _looked_at(rgb: Image.Image) -> Pixels:
    """Reduce a picture to ``LOOKED_AT`` for the search: ``(H, W, 3)`` float32."""
    small = rgb.copy()
    small.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(small, np.float32)


def _border(pixels: Pixels) -> Pixels:
    """Return the pixels of the outer 2 % of a picture ``(H, W, …)``."""
    edge = max(1, max(pixels.shape[:2]) // 50)
    inner = np.zeros(pixels.shape[:2], bool)
    inner[edge:-edge, edge:-edge] = True
    return pixels[~inner]


def _ground(pixels: Pixels) -> Pixels:
    """Return the median colour ``(3,)`` of a picture's border."""
    return np.asarray(np.median(_border(pixels), axis=0), np.float32)


def _frame(rgb: Image.Image) -> Box:
    """Return the square to show the network: around a garment on a plain background, else in the middle."""
    garment = find_garment(rgb)
    left, top, right, bottom = garment or (0, 0, *rgb.size)
    side = max(right - left, bottom - top) / FILLED if garment else min(rgb.size)
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def _cut(rgb: Image.Image, box: Box) -> Image.Image:
    """Crop a picture to a box, rounded to whole pixels; beyond the picture, its border is repeated."""
    left, top, right, bottom = (round(edge) for edge in box)
    rows, columns = (
        np.clip(np.arange(start, max(end, start + 1)), 0, length - 1)
        for start, end, length in ((top, bottom, rgb.height), (left, right, rgb.width))
    )
    return Image.fromarray(np.asarray(rgb)[rows[:, None], columns])


def _reduced(rgb: Image.Image, size: tuple[int, int]) -> Image.Image:
    return rgb.resize(size, Image.Resampling.BOX if rgb.width > size[0] else Image.Resampling.BILINEAR)


def _bright_on_black(garment: Image.Image, ground: Pixels) -> Pixels:
    """Show a garment as in the data set: longest edge 28 pixels, grey level by its difference from the background.

    As in the data set, keeps one of three rows and columns, and scales the brightest pixel to 255.
    """
    longest = max(garment.size)
    width, height = (max(1, round(28 * side / longest)) for side in garment.size)
    values = np.asarray(_reduced(garment, (3 * width, 3 * height)), np.float32)[1::3, 1::3]
    darker = (ground - values) @ LUMA
    far = np.abs(darker) > CLOSE / 2
    darker = np.where(far, darker, 0) * (-1 if far.any() and np.median(darker[far]) < 0 else 1)
    top, left = (29 - height) // 2, (29 - width) // 2
    pixels = np.zeros((28, 28), np.uint8)
    pixels[top : top + height, left : left + width] = (darker.clip(0) * 255 / max(darker.max(), 1)).round()
    return pixels
