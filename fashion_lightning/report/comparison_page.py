"""The page that ``compare --output`` writes: table, curves and differences of several recipes."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from fashion_lightning.report.comparison_table import COLUMNS, Comparison, Group, rows
from fashion_lightning.report.intervals import Accuracy, difference
from fashion_lightning.report.page import data_uri, render


def comparison_page(comparison: Comparison, curves: Path) -> bytes:
    """Make the page.

    Args:
        comparison: of which at least one recipe has results.
        curves: the picture of the learning curves, a PNG file.
    """
    heading, *others = rows(comparison)
    return render(
        "comparison.html",
        title="Recipes side by side",
        heading=heading,
        rows=others,
        curves=data_uri(curves.read_bytes()),
        reference=comparison.groups[0].label,
        differences=_differences(*comparison.groups),
        sampling=_sampling(comparison.groups),
    )


def _differences(reference: Group, *others: Group) -> list[dict[str, Any]]:
    """Compare every recipe with the first one, in every metric that is a share of images."""
    found = []
    for column in (column for column in COLUMNS if column.scale == 100):
        of_reference = column.values(reference)
        for group in others:
            if (values := column.values(group)) and of_reference:
                value, interval = difference(values, of_reference)
                row = {"label": group.label, "metric": column.heading.removesuffix(", %"), "value": value}
                found.append({**row, "interval": interval, "seeds": (len(values), len(of_reference))})
    return found


def _sampling(groups: Sequence[Group]) -> tuple[int, float] | None:
    """Return the test images, and how far their choice moves a mean accuracy, to either side at 95 %."""
    tests = [run.tests["none"] for group in groups for run in group.runs if "none" in run.tests]
    counts = {test.get("images") for test in tests}
    if len(counts) != 1 or not isinstance(images := counts.pop(), int) or images < 1:
        return None
    accuracy = min(1.0, max(0.0, mean(test["accuracy"] for test in tests)))
    low, high = Accuracy(round(accuracy * images), images).interval
    return images, (high - low) / 2
