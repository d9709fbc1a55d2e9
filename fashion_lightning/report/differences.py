"""How far two recipes lie apart, with what the chance of their seeds leaves open."""

from collections.abc import Sequence
from math import sqrt
from statistics import mean, variance

from mpmath import betainc, findroot


def difference(values: Sequence[float], of_reference: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Return the mean of some values less that of a reference, and Welch's interval at 95 %.

    It does not take the spread of both for the same (Welch 1947, https://doi.org/10.1093/biomet/34.1-2.28). There is
    none if one of the samples has a single value.
    """
    apart = mean(values) - mean(of_reference)
    if min(len(values), len(of_reference)) < 2:
        return apart, None
    parts = [(variance(sample) / len(sample), len(sample) - 1) for sample in (values, of_reference)]
    square = sum(part for part, _ in parts)
    if not square:
        return apart, (apart, apart)
    freedom = square**2 / sum(part**2 / degrees for part, degrees in parts)
    half = student95(freedom) * sqrt(square)
    return apart, (apart - half, apart + half)


def student95(freedom: float) -> float:
    """Return what 95 % of Student's t of so many degrees of freedom, at least one, stay within."""

    def outside(t: float) -> float:
        return float(betainc(freedom / 2, 0.5, 0, freedom / (freedom + t**2), regularized=True)) - 0.05

    return float(findroot(outside, (1.9, 13), solver="anderson"))
