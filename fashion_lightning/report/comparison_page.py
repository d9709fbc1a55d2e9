"""Make the page of ``compare --output``: table, learning curves and differences of several recipes."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from statistics import mean, stdev
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fashion_lightning.report.comparison_table import Comparison, Group, class_rows, difference_rows, differences, rows
from fashion_lightning.report.page import data_uri, render
from fashion_lightning.runs.results import read_curve

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6914", "#7F7F7F", "#6A3D9A")
"""Okabe and Ito's colours, which readers with any colour vision can distinguish, and three more."""


def draw(groups: Sequence[Group], path: Path) -> None:
    """Plot loss and accuracy over epochs: the mean over seeds, and a band of one standard deviation.

    Plots epochs that all runs of a recipe have. The suffix of ``path`` decides the format.
    """
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    lines: list[Line2D] = []
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for group, color in zip(groups, cycle(COLORS)):
            for part, style in (("val", "-"), ("train", ":")):
                curves = [read_curve(run.run_dir, f"{part}/{quantity}") for run in group.runs]
                line = _draw_band(axes, curves, color, style)
                lines += [line] if (part, quantity) == ("val", "loss") else []
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
    # matplotlib leaves out labels that begin with an underscore, and reads text between dollar signs as a formula.
    labels = [
        f" {fill(group.label, 100, break_on_hyphens=False)} (n = {len(group.runs)})".replace("$", r"\$")
        for group in groups
    ]
    figure.set_figheight(4.8 + 0.21 * sum(label.count("\n") + 1 for label in labels))
    figure.legend(lines, labels, loc="outside lower center", frameon=False)
    figure.suptitle("Validation (solid) and training (dotted), mean ± standard deviation over seeds", fontsize=11)
    figure.savefig(path, dpi=150)


def _draw_band(axes: Axes, curves: Sequence[dict[int, float]], color: str, style: str) -> Line2D:
    epochs = sorted(set.intersection(*(set(curve) for curve in curves)))
    values = [[curve[epoch] for curve in curves] for epoch in epochs]
    middle = [mean(at_epoch) for at_epoch in values]
    (line,) = axes.plot(epochs, middle, style, color=color, marker="." if len(epochs) == 1 else "", linewidth=1.6)
    if len(curves) > 1:
        low, high = ([mean(each) + sign * stdev(each) for each in values] for sign in (-1, 1))
        axes.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0)
    return line


def comparison_page(comparison: Comparison, curves: Path) -> bytes:
    """Return the page as HTML; ``curves`` is a PNG file of the learning curves."""
    return render(
        "comparison.html",
        title="Recipes side by side",
        recipes=rows(comparison),
        curves=data_uri(curves.read_bytes()),
        differences=difference_rows(differences(comparison.groups)),
        classes=class_rows(comparison.groups),
    )
