"""Confidence intervals of accuracies, and of differences between recipes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist, mean, variance
from typing import NamedTuple

from mpmath import betainc, findroot

Z95 = NormalDist().inv_cdf(0.975)
"""95 % of a normal distribution lie within this many standard deviations of its mean."""


@dataclass(frozen=True)
class Accuracy:
    """The number of correctly classified images, and of all images."""

    right: int
    images: int

    @property
    def value(self) -> float:
        """Return the fraction of correctly classified images; there must be an image."""
        return self.right / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % interval for a binomial proportion.

        Unlike the normal approximation, it stays within 0 and 1, and holds even if all images are correct
        (Brown, Cai and DasGupta 2001, https://doi.org/10.1214/ss/1009213286).
        """
        n, z2 = self.images, Z95**2
        middle = (self.right + z2 / 2) / (n + z2)
        half = Z95 / (n + z2) * sqrt(self.right * (n - self.right) / n + z2 / 4)
        return max(0.0, middle - half), min(1.0, middle + half)


class Difference(NamedTuple):
    """The difference between two recipes; ``None`` if the values give no interval or p."""

    value: float
    interval: tuple[float, float] | None = None
    """95 % of such intervals contain the true difference."""
    p: float | None = None
    """Two-sided: the probability of a difference at least as large if the true difference is 0."""


def difference(values: Sequence[float], of_reference: Sequence[float]) -> Difference:
    """Compare the mean of ``values`` with that of a reference, by Welch's interval and test.

    Welch does not assume equal variances (Welch 1947, https://doi.org/10.1093/biomet/34.1-2.28). Gives no interval if
    one of the samples has a single value, or if neither varies.
    """
    apart = mean(values) - mean(of_reference)
    if min(len(values), len(of_reference)) < 2:
        return Difference(apart)
    parts = [(variance(sample) / len(sample), len(sample) - 1) for sample in (values, of_reference)]
    square = sum(part for part, _ in parts)
    if not square:
        return Difference(apart)
    freedom = square**2 / sum(part**2 / degrees for part, degrees in parts)
    half = student95(freedom) * sqrt(square)
    return Difference(apart, (apart - half, apart + half), outside(apart / sqrt(square), freedom))


def paired(right: Sequence[bool], of_reference: Sequence[bool]) -> Difference:
    """Compare two classifiers on the same images, by McNemar's exact test (https://doi.org/10.1007/BF02295996).

    Args:
        right: whether the first classifier is right, for each of at least one image.
        of_reference: the same for the reference.
    """
    images = len(right)
    gained, lost = (sum(a > b for a, b in zip(*pair)) for pair in ((right, of_reference), (of_reference, right)))
    apart, changed = (gained - lost) / images, gained + lost
    half = Z95 * sqrt(changed - (gained - lost) ** 2 / images) / images
    tail = sum(comb(changed, count) for count in range(min(gained, lost) + 1))
    return Difference(apart, (apart - half, apart + half), min(1.0, 2 * tail / 2**changed))


def outside(t: float, freedom: float) -> float:
    """Return the probability that Student's t with ``freedom`` degrees of freedom is farther from 0 than ``t``."""
    return float(betainc(freedom / 2, 0.5, 0, freedom / (freedom + t**2), regularized=True))


def student95(freedom: float) -> float:
    """Return the two-sided 95 % quantile of Student's t with ``freedom`` degrees of freedom, at least one."""
    return float(findroot(lambda t: outside(t, freedom) - 0.05, (1.9, 13), solver="anderson"))
