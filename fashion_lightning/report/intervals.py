"""Confidence: intervals of accuracies and of differences between recipes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, mean, variance

from mpmath import betainc, findroot

Z95 = NormalDist().inv_cdf(0.975)
"""95 % of a normal distribution lie within so many standard deviations of its mean."""


@dataclass(frozen=True)
class Accuracy:
    """The number of images that were classified right, and of all images."""

    right: int
    images: int

    @property
    def value(self) -> float:
        """The fraction of images that were classified right; there must be an image."""
        return self.right / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Wilson for a binomial proportion.

        Unlike the normal approximation it stays within 0 and 1, and is right where all images are, too
        (Brown, Cai and DasGupta 2001, https://doi.org/10.1214/ss/1009213286).
        """
        n, z2 = self.images, Z95**2
        middle = (self.right + z2 / 2) / (n + z2)
        half = Z95 / (n + z2) * sqrt(self.right * (n - self.right) / n + z2 / 4)
        return max(0.0, middle - half), min(1.0, middle + half)


def difference(values: Sequence[float], of_reference: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Return the mean of some values less that of a reference, and Welch's interval at 95 %.

    It does not take the spread of both for the same (Welch 1947, https://doi.org/10.1093/biomet/34.1-2.28). There is
    none if one of the samples has a single value, or if all values of each are equal.
    """
    apart = mean(values) - mean(of_reference)
    if min(len(values), len(of_reference)) < 2:
        return apart, None
    parts = [(variance(sample) / len(sample), len(sample) - 1) for sample in (values, of_reference)]
    square = sum(part for part, _ in parts)
    if not square:
        return apart, None
    freedom = square**2 / sum(part**2 / degrees for part, degrees in parts)
    half = student95(freedom) * sqrt(square)
    return apart, (apart - half, apart + half)


def student95(freedom: float) -> float:
    """Return what 95 % of Student's t of so many degrees of freedom, at least one, stay within."""

    def outside(t: float) -> float:
        return float(betainc(freedom / 2, 0.5, 0, freedom / (freedom + t**2), regularized=True)) - 0.05

    return float(findroot(outside, (1.9, 13), solver="anderson"))
