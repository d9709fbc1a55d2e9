"""Whether an image of which the network is 90 % sure is classified right in 90 of 100 cases, and what mends it."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

BINS = 15
"""Of equal width, as by Guo et al. 2017 (https://arxiv.org/abs/1706.04599)."""

FEWEST_IMAGES = 100
"""Validation images to fit a temperature on: with fewer it would be chance."""

HOTTEST = 20.0
"""A temperature is looked for between this and its inverse: where all validation images are right, none is best."""


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies in one of the intervals."""

    images: int
    confidence: float
    """Their mean probability of the class that was predicted."""
    accuracy: float
    """The fraction of them that was classified right."""


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy lie apart."""

    bins: list[Bin | None]
    """From the lowest confidence to the highest; ``None`` where there is no image."""
    ece: float
    """The expected calibration error: their mean distance, over all images."""
    loss: float
    """The mean cross-entropy, in nats."""


def probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Softmax of logits ``(N, 10)`` over a temperature, float64."""
    return (logits.double() / temperature).softmax(dim=1)


def calibration(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> Calibration:
    """Measure the calibration of logits ``(N, 10)`` over a temperature against labels ``(N,)``."""
    confidence, predicted = probabilities(logits, temperature).max(dim=1)
    right = (predicted == labels).double()
    # A confidence on the edge of two bins belongs to the lower one.
    places = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    bins: list[Bin | None] = []
    for number in range(BINS):
        inside = places == number
        images = int(inside.sum())
        bins.append(Bin(images, confidence[inside].mean().item(), right[inside].mean().item()) if images else None)
    ece = sum(found.images * abs(found.confidence - found.accuracy) for found in bins if found) / len(labels)
    loss = cross_entropy(logits.double() / temperature, labels).item()
    return Calibration(bins, ece, loss)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature that gives logits ``(N, 10)`` the least cross-entropy with labels ``(N,)``.

    The cross-entropy is convex in the inverse temperature: its slope has one zero, which bisection finds.
    """
    logits, low, high = logits.double(), 1 / HOTTEST, HOTTEST
    given = logits.gather(1, labels[:, None]).mean()
    for _ in range(60):
        middle = (low + high) / 2
        expected = ((middle * logits).softmax(dim=1) * logits).sum(dim=1).mean()
        low, high = (low, middle) if expected > given else (middle, high)
    return 2 / (low + high)


def interpolates(temperature: float) -> bool:
    """Whether a fitted temperature is a best one, and not the end of where it was looked for."""
    return 1 / HOTTEST * 1.01 < temperature < HOTTEST / 1.01


def enough_for_temperature(labels: Tensor) -> bool:
    """Whether a temperature can be fitted on so many images."""
    return len(labels) >= FEWEST_IMAGES
