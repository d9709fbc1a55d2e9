"""Test-time augmentation: classify an image by the mean logits of several views of it.

Imports torch only to make a view: ``compare`` needs just the names, and starts faster without torch.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

TTA = Literal["none", "flip", "flip_shift"]

IN_WORDS: dict[TTA, str] = {
    "none": "",
    "flip": ", averaged with their mirror images",
    "flip_shift": ", averaged over mirror images and shifts of a pixel",
}

SHIFTS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
"""Shifts down and right, in pixels."""


def views(images: "Tensor", tta: TTA) -> Iterator["Tensor"]:
    """Yield the images themselves, then their other views.

    Args:
        images: ``(B, 1, 28, 28)`` of any dtype, on any device.
        tta: ``flip`` adds the mirror images; ``flip_shift`` also shifts both by a pixel up, down, left and right, which
            makes 10 views.

    Yields:
        Images of the same shape, dtype and device.
    """
    from torch.nn.functional import pad

    if tta == "none":
        yield images
        return
    height, width = images.shape[-2:]
    bordered = pad(images, [1] * 4)
    for down, right in SHIFTS if tta == "flip_shift" else SHIFTS[:1]:
        shifted = bordered[..., 1 - down : 1 - down + height, 1 - right : 1 - right + width]
        yield shifted
        yield shifted.flip(-1)


def suffix(tta: TTA) -> str:
    """Return the suffix of metric names, such as ``_flip``; empty without test-time augmentation."""
    return "" if tta == "none" else f"_{tta}"
