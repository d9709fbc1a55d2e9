"""A photograph of a garment, prepared as the images of the data set were made (arXiv 1708.07747, section 2).

Trim, reduce the longest edge to 28 by skipping rows and columns, centre, extend, negate, grey. Two things the paper
does not say: all images of the data set reach 255, so they were stretched; and where an odd number of rows or columns
is added, the larger half comes first (both seen on the 5,000 validation images). The paper's sharpening is left out:
images of the data set that are sharpened once more get another class in 2 to 3 % of cases, and nothing here tells yet
whether a picture is one of them, enlarged.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from fashion_lightning.data.classes import FASHION_MNIST, ImageSpec
from fashion_lightning.files.pictures import in_eight_bits, square
from fashion_lightning.photographs.background import (
    CLOSE,
    Pixels,
    distance,
    find_background,
    grown,
    parts,
    reached_from_outside,
    stands_out,
)

Background = Literal[
    "light", "grey", "dark", "coloured", "uneven", "transparent", "none", "already prepared", "not looked for"
]
Box = tuple[float, float, float, float]

LOOKED_AT = 256
"""Longest edge in which the garment is looked for; noise is averaged in it."""

FINE = 84
"""Longest edge of the garment before rows and columns are skipped: of the multiples of 28, the one nearest to the
73 pixels of the pictures that the data set was made from."""

STANDS_OUT = 8.0
"""Levels of 255 by which a pixel of the reduced garment differs from the background at least. Where no more than the
noise of a JPEG is to be expected, this finds more of a garment as dark as its background than the paper's 13."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Prepared:
    """A picture as the network sees it, and what was found in it."""

    pixels: Pixels
    """``(28, 28)`` uint8, bright on black; for other networks ``(size, size)`` or ``(size, size, 3)``, as it is."""
    background: Background
    """``none``: none was found, and the whole picture was taken for the garment."""
    box: Box
    """The garment: left, top, right and bottom, as shares of the upright picture's width and height."""


def prepare(picture: Image.Image, images: ImageSpec = FASHION_MNIST) -> Prepared:
    """Make a network's input from a picture of any mode and size.

    A network for other images than Fashion-MNIST's gets the whole picture, as in training.
    A grey picture of 28x28 with dark corners is one already, and stays as it is; one with light corners is negated.
    """
    whole = (0.0, 0.0, 1.0, 1.0)
    if images != FASHION_MNIST:
        return Prepared(square(picture, images.size, images.channels), "not looked for", whole)
    picture = ImageOps.exif_transpose(picture)
    rgb, seen_through = _in_eight_bits(picture)
    if picture.size == (28, 28) and not seen_through and len({band.tobytes() for band in rgb.split()}) == 1:
        grey = np.asarray(rgb.getchannel(0))
        corners = grey[[0, 0, -1, -1], [0, -1, 0, -1]]
        # No corner of the 5,000 validation images is above 73, nor below 182 where they are negated.
        if corners.max() < 128 or corners.min() >= 128:
            return Prepared(grey.copy() if corners.max() < 128 else 255 - grey, "already prepared", whole)
    garment = _find(rgb)
    if garment is None:
        width, height = _reduced_size(rgb.size)
        grey = np.asarray(rgb.resize((width, height), Image.Resampling.BOX), np.float32) @ LUMA
        return Prepared(_extended(_every_third(255 - grey)), "none", whole)
    box, background, noise = garment
    left, top, right, bottom = box
    width, height = picture.size
    size = _reduced_size((right - left, bottom - top))
    how = Image.Resampling.BOX if right - left > size[0] else Image.Resampling.BICUBIC
    fine = np.asarray(rgb.resize(size, how, box=box), np.float32)
    behind = np.stack(
        [np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BILINEAR)) for part in background], axis=-1
    )
    kind: Background = "transparent" if seen_through else _kind(behind)
    pixels = _extended(_values(fine, behind, noise))
    return Prepared(pixels, kind, (left / width, top / height, right / width, bottom / height))


def _in_eight_bits(picture: Image.Image) -> tuple[Image.Image, bool]:
    """Convert a picture to RGB, transparency to white; return it and whether its border is mostly transparent."""
    picture = in_eight_bits(picture)
    if not picture.has_transparency_data:
        return picture.convert("RGB"), False
    picture = picture.convert("RGBA")
    alpha = np.asarray(picture.getchannel("A"))
    border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB"), bool((border < 128).mean() > 0.5)


def _find(rgb: Image.Image) -> tuple[Box, list[Pixels], float] | None:
    """Find the garment: return its box, the three bands of the background in it, and the noise of the background.

    A small garment in a large picture is looked at again, from nearer.
    """
    area = (0, 0, *rgb.size)
    for _ in range(2):
        part = rgb.crop(area)
        part.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.BOX, reducing_gap=None)
        looked_at = np.asarray(part, np.float32)
        if (found := find_background(looked_at)) is None:
            return None
        background, noise = found
        mask = stands_out(looked_at, background, noise)
        if not mask.any():
            return None
        contrast = np.where(mask, distance(looked_at, background), 0)
        cell = max(np.ptp(np.flatnonzero(mask.any(axis))) + 1 for axis in (0, 1)) / 28
        (left, right), (top, bottom) = _extent(contrast.max(0), cell), _extent(contrast.max(1), cell)
        across, down = (area[2] - area[0]) / part.width, (area[3] - area[1]) / part.height
        box = (area[0] + left * across, area[1] + top * down, area[0] + right * across, area[1] + bottom * down)
        if max(right - left, bottom - top) >= 100 or max(part.size) < LOOKED_AT:
            break
        margin = max(box[2] - box[0], box[3] - box[1]) / 4
        area = (
            int(max(0, box[0] - margin)),
            int(max(0, box[1] - margin)),
            int(min(rgb.width, box[2] + margin)),
            int(min(rgb.height, box[3] + margin)),
        )
    behind = background[int(top) : round(bottom), int(left) : round(right)].astype(np.float32)
    return box, [np.ascontiguousarray(behind[..., band]) for band in range(3)], noise


def _extent(profile: Pixels, cell: float) -> tuple[float, float]:
    """Find where a garment starts and ends along one axis, from its contrast there, 0 outside.

    A blurred edge begins to stand out too early: the edge is where the contrast is half of the contrast 0.6 of a row or
    column (of the 28) further in. That was chosen on renderings of validation images, whose edges are known.
    """
    edges = []
    for along in (profile, profile[::-1]):
        start = int(np.flatnonzero(along)[0])
        half = along[min(start + round(0.6 * cell), len(along) - 1)] / 2
        at = start + int(np.argmax(along[start:] >= half))
        edges.append(float(at) if at == start else at + 0.5 - float((along[at] - half) / (along[at] - along[at - 1])))
    return edges[0], len(profile) - edges[1]


def _values(fine: Pixels, background: Pixels, noise: float) -> Pixels:
    """Skip two of three rows and columns of the garment, and negate it: grey, 0 where the background is.

    Args:
        fine: colours ``(3 H, 3 W, 3)`` float, 0 to 255.
        background: the colours behind it.
        noise: how far a pixel of the background may be from it, in levels.

    Returns:
        ``(H, W)`` float, not stretched yet.
    """
    around = ((3, 3), (3, 3), (0, 0))  # so that the garment has something around it
    fine, background = np.pad(fine, around, mode="edge"), np.pad(background, around, mode="edge")
    stands_out = np.zeros(fine.shape[:2], bool)
    stands_out[3:-3, 3:-3] = (distance(fine, background) > max(STANDS_OUT, noise))[3:-3, 3:-3]
    mask = _every_third(stands_out)
    grey, behind = _every_third(fine) @ LUMA, _every_third(background) @ LUMA
    if not mask.any():
        return (255 - grey)[1:-1, 1:-1]
    contrast = grey - behind
    if np.percentile(contrast[mask], 2) > -CLOSE:  # nowhere darker than the background
        outside = reached_from_outside(~mask)
        slack = 0.05 * float(np.percentile(contrast[mask], 98))
        low, high = np.percentile(contrast[mask], (25, 75))  # alike in a silhouette, of which nothing would be left
        if high - low <= slack or not _outline_is_light(contrast, outside, ~outside, slack):
            return np.where(mask, contrast, 0)[1:-1, 1:-1]  # drawn in light, as in the data set itself
    height, width = mask.shape
    # A pixel in which garment and background mix is as dark as neither: it counts where 7 of its 9 stand out.
    covered = stands_out.reshape(height, 3, width, 3).sum((1, 3)) >= 7
    mask = covered if covered.any() else mask
    outside = reached_from_outside(~mask)
    for part in parts(~mask & ~outside):  # a hole, or as dark as the background
        if _outline_is_light(grey, part, ~outside & ~part):
            outside |= part
    return np.where(outside, 0, max(float(grey[mask].max()), float(behind.mean())) - grey)[1:-1, 1:-1]


def _outline_is_light(grey: Pixels, hole: Pixels, garment: Pixels, slack: float = 0) -> bool:
    """Check whether the garment's pixels along a hole, or along the outside, are lighter than the next ones inside.

    They are in 99 % of the validation images: the outline mixes with the white behind it. The upper quartiles are
    compared, since some of the outline may be mixed with a dark background too.
    """
    near = grown(hole)
    outline, inside = near & garment, grown(near) & ~near & garment
    if not (outline.any() and inside.any()):
        return False
    return float(np.percentile(grey[outline], 75)) > float(np.percentile(grey[inside], 75)) - slack


def _reduced_size(size: tuple[float, float]) -> tuple[int, int]:
    """Return width and height with the longest edge ``FINE``, both multiples of three."""
    width, height = (3 * max(1, round(side * FINE / max(size) / 3)) for side in size)
    return width, height


def _every_third(values: Pixels) -> Pixels:
    """Skip two of three rows and columns."""
    return values[1::3, 1::3]


def _extended(values: Pixels) -> Pixels:
    """Stretch to 255, and centre on black, ``(28, 28)`` uint8."""
    height, width = values.shape
    top, left = (29 - height) // 2, (29 - width) // 2
    pixels = np.zeros((28, 28), np.uint8)
    stretched = np.clip(values, 0, None) * 255 / max(float(values.max()), 1.0)
    pixels[top : top + height, left : left + width] = stretched.round()
    return pixels


def _kind(background: Pixels) -> Background:
    """Name the background."""
    colour = background.reshape(-1, 3).mean(0)
    if np.ptp(background, axis=(0, 1)).max() > 2 * 13:
        return "uneven"
    if np.ptp(colour) > 2 * 13:
        return "coloured"
    level = float(colour @ LUMA)
    return "light" if level > 200 else "dark" if level < 55 else "grey"
