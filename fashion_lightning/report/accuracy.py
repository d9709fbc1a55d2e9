"""An accuracy and its confidence interval."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

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
