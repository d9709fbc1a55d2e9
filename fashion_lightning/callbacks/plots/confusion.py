"""Which classes are taken for which."""

import matplotlib
import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fashion_lightning.callbacks.plots.drawing import WIDTH, Pixels, font
from fashion_lightning.callbacks.plots.picture import Picture
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.classes import CLASS_NAMES

LEFT, BOTTOM = 130, 86  # pixels
WIDE, HIGH = 61, 34  # of a cell


class ConfusionMatrix(Picture):
    """Draws the share of each class's validation images, in percent, that was taken for each class."""

    def draw(
        self, writer: SummaryWriter, model: FashionMNISTClassifier, evaluation: dict[str, Tensor], step: int
    ) -> None:
        counts = evaluation["confusion"].double()
        shares = (100 * counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).numpy()
        writer.add_image("pictures/confusion matrix", matrix(shares), step, dataformats="HWC")


def matrix(shares: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> Pixels:
    """Draw shares ``(10, 10)`` in percent, true classes as rows, with their numbers from 0.05 on."""
    width, height = WIDE * len(CLASS_NAMES), HIGH * len(CLASS_NAMES)
    canvas = Image.new("RGB", (WIDTH, height + BOTTOM), "white")
    colors = Image.fromarray(matplotlib.colormaps["Blues"](shares / 100, bytes=True)[:, :, :3])
    canvas.paste(colors.resize((width, height), Image.Resampling.NEAREST), (LEFT, 0))
    draw = ImageDraw.Draw(canvas)
    for row, column in zip(*(shares >= 0.05).nonzero(), strict=True):
        share = shares[row, column]
        text = f"{share:.1f}" if share < 99.95 else "100"
        place = LEFT + (column + 0.5) * WIDE, (row + 0.5) * HIGH
        draw.text(place, text, "white" if share > 55 else "black", font(21), anchor="mm")
    for number, name in enumerate(CLASS_NAMES):
        draw.text((LEFT - 8, (number + 0.5) * HIGH), name, "black", font(), anchor="rm")
        # In two lines by turns: each name is as wide as two cells.
        place = LEFT + (number + 0.5) * WIDE, height + 5 + number % 2 * 24
        anchor = "ma" if number < len(CLASS_NAMES) - 1 else "ra"
        draw.text(place if anchor == "ma" else (WIDTH, place[1]), name, "black", font(), anchor=anchor)
    draw.text((LEFT + width / 2, height + 80), "taken for, in % of the true class", "#555555", font(), anchor="md")
    return np.asarray(canvas)
