"""Whether the network is as often right as it says."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchmetrics.functional.classification import multiclass_calibration_error

from fashion_lightning.callbacks.plots.drawing import WIDTH, Pixels, font
from fashion_lightning.callbacks.plots.picture import Picture
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.classes import CLASS_NAMES

BINS = 10

Shares = NDArray[np.float64]


class Reliability(Picture):
    """Draws the share of right guesses over the probability that the network gave them, and how many have which.

    The expected calibration error is the mean distance of the two, over images, in bins of equal width
    (https://arxiv.org/abs/1706.04599).
    """

    def draw(
        self, writer: SummaryWriter, model: FashionMNISTClassifier, evaluation: dict[str, Tensor], step: int
    ) -> None:
        probabilities, labels = evaluation["logits"].softmax(dim=1), evaluation["labels"]
        error = multiclass_calibration_error(probabilities, labels, num_classes=len(CLASS_NAMES), n_bins=BINS)
        confidence, guess = probabilities.max(dim=1)
        place = (confidence * BINS).long().clamp(max=BINS - 1).numpy()
        count = np.bincount(place, minlength=BINS)
        right = np.bincount(place, (guess == labels).numpy(), minlength=BINS) / count.clip(min=1)
        picture = diagram(right, count / count.sum(), f"expected calibration error {100 * error.item():.1f} %")
        writer.add_image("pictures/reliability", picture, step, dataformats="HWC")


def diagram(right: Shares, images: Shares, title: str) -> Pixels:
    """Draw shares ``(BINS,)`` of right guesses and of all images, 0 … 1, over the probability of the guess."""
    canvas = Image.new("RGB", (WIDTH, 440), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((WIDTH / 2, 6), title, "black", font(23), anchor="ma")
    left, right_end = 75, WIDTH - 15
    across = (right_end - left) / BINS
    for values, color, top, bottom in ((right, "#0072B2", 42, 252), (images, "#7F7F7F", 300, 375)):
        for share in (0, 0.5, 1):
            height = bottom - share * (bottom - top)
            draw.line((left, height, right_end, height), "#CCCCCC")
            draw.text((left - 8, height), f"{100 * share:.0f} %", "black", font(), anchor="rm")
        for number, value in enumerate(values):
            start = left + number * across
            draw.rectangle((start + 3, bottom - value * (bottom - top), start + across - 3, bottom), color)
    draw.line((left, 252, right_end, 42), "#D55E00", 3)
    draw.text((left + 10, 48), "right", "#0072B2", font())
    draw.text((left + 10, 72), "as often as it says", "#D55E00", font())
    draw.text((left + 10, 303), "of all images", "#555555", font())
    for number in range(0, BINS + 1, 2):
        for bottom in (252, 375):
            place = min(left + number * across, right_end - 12)
            draw.text((place, bottom + 6), f"{100 * number / BINS:.0f}", "black", font(), anchor="ma")
    draw.text(((left + right_end) / 2, 436), "probability that the guess got, %", "black", font(), anchor="md")
    return np.asarray(canvas)
