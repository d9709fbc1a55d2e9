"""Drawing without a display and without global state, at the size in which TensorBoard shows pictures.

By Pillow: matplotlib took four times as long for the same pictures, 0.5 s of processor time after each validation.
Every picture is white where nothing is drawn: TensorBoard has a dark theme, in which black on nothing is not seen.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WIDTH = 740
"""Pixels: twice what a card of TensorBoard has across. It has 215 in height: of a picture higher than 430, all gets
smaller than half, and text can no longer be read."""

SIZE = 19
"""Height of text in pixels, half of which is still read."""

Pixels = NDArray[np.uint8]


@cache
def font(size: int = SIZE) -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings along, of so many pixels."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def tiles(rows: Sequence[Sequence[tuple[Pixels, str]]]) -> Pixels:
    """Images in rows, each below its caption.

    Args:
        rows: images ``(height, width)`` or ``(height, width, 3)`` uint8, all of one shape, and their
            captions.

    Returns:
        ``(height, WIDTH, 3)`` uint8.
    """
    gap = 10
    cell = WIDTH // max(map(len, rows))
    tall, wide = rows[0][0][0].shape[:2]
    width = cell - gap
    height = width * tall // wide
    captions = [max(caption.count("\n") + 1 if caption else 0 for _, caption in row) * (SIZE + 6) for row in rows]
    canvas = Image.new("RGB", (WIDTH, sum(captions) + len(rows) * (height + gap) + gap), "white")
    draw = ImageDraw.Draw(canvas)
    top = gap
    for row, caption_height in zip(rows, captions, strict=True):
        for column, (image, caption) in enumerate(row):
            left = column * cell + gap // 2
            draw.multiline_text(
                (left + width / 2, top - 2), caption, "black", font(), anchor="ma", spacing=3, align="center"
            )
            picture = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
            canvas.paste(picture, (left, top + caption_height))
        top += caption_height + height + gap
    return np.asarray(canvas)
