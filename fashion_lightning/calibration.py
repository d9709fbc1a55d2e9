"""Whether 90 of 100 images that the network is 90 % sure of are classified right, and the temperature that mends it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

BINS = 15
"""Of equal width, as by Guo et al. 2017 (https://arxiv.org/abs/1706.04599); for plot, page and JSON."""

FEWEST_IMAGES = 100
"""Validation images to fit a temperature on: with fewer it would be chance."""

HOTTEST = 20.0
"""A temperature is looked for between this and its inverse: if all validation images are right, none is best."""


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy lie apart, in bins from the lowest confidence to the highest."""

    images: Tensor
    """Images in each bin, ``(BINS,)`` int64."""
    confidence: Tensor
    """Their mean probability of the predicted class, ``(BINS,)`` float64; NaN where there is no image."""
    accuracy: Tensor
    """The fraction of them that was classified right, ``(BINS,)`` float64; NaN where there is no image."""
    ece: float
    """The expected calibration error: the mean distance of confidence and accuracy, over all images."""
    loss: float
    """The mean cross-entropy, in nats."""

    @property
    def bins(self) -> list[tuple[int, float, float]]:
        """Images, confidence and accuracy of each bin."""
        return list(zip(self.images.tolist(), self.confidence.tolist(), self.accuracy.tolist(), strict=True))


def calibration(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> Calibration:
    """Measure the calibration of logits ``(N, 10)`` over a temperature against labels ``(N,)``."""
    scaled = logits.double() / temperature
    confidence, predicted = scaled.softmax(dim=1).max(dim=1)
    places = (confidence * BINS).ceil().long().clamp(1, BINS) - 1  # an edge belongs to the lower bin
    images = torch.bincount(places, minlength=BINS)
    mean_confidence, accuracy = (
        torch.bincount(places, values.double(), BINS) / images for values in (confidence, predicted == labels)
    )
    ece = (images * (mean_confidence - accuracy).abs()).nansum() / len(labels)
    return Calibration(images, mean_confidence, accuracy, ece.item(), cross_entropy(scaled, labels).item())


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that gives logits ``(N, 10)`` the least cross-entropy with labels ``(N,)``.

    The cross-entropy is convex in the inverse temperature: bisection finds the only zero of its slope.
    """
    logits, low, high = logits.double(), 1 / HOTTEST, HOTTEST
    given = logits.gather(1, labels[:, None]).mean()
    for _ in range(60):
        middle = (low + high) / 2
        expected = ((middle * logits).softmax(dim=1) * logits).sum(dim=1).mean()
        low, high = (low, middle) if expected > given else (middle, high)
    return 2 / (low + high)


def is_at_an_end(temperature: float) -> bool:
    """Check whether a fitted temperature is an end of the range that was searched, so that none is best."""
    return not 1 / HOTTEST * 1.01 < temperature < HOTTEST / 1.01
