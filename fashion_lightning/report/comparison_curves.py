"""Learning curves of several recipes in one picture."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fashion_lightning.report.comparison_table import Group
from fashion_lightning.runs.results import RunResults, read_curve

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6914", "#7F7F7F", "#6A3D9A")
"""Okabe and Ito's, which readers with any colour vision can tell apart, and three more."""

LEGEND_WIDTH = 110
"""Characters that stand side by side below the picture."""


def draw(groups: Sequence[Group], path: Path) -> list[str]:
    """Draw loss and accuracy over epochs: mean over seeds, and a band of one standard deviation.

    A curve ends with the first of its runs.

    Args:
        groups: recipes with their runs.
        path: the picture to write; its suffix decides the format.

    Returns:
        Notes on runs whose event files lack epochs.
    """
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    notes = []
    named: list[tuple[str, Line2D]] = []
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        later = []
        for group, color in zip(groups, _colors(len(groups)), strict=True):
            for part, style in (("val", "-"), ("train", ":")):
                curves = []
                for run in group.runs:
                    curve, note = _complete(run, f"{part}/{quantity}")
                    curves.append(curve)
                    notes += [note] if note else []
                    later += [value for epoch, value in curve.items() if epoch > 1]
                line = _draw_band(axes, curves, color, style)
                if (part, quantity) == ("val", "loss"):
                    named.append((f"{group.label} (n = {len(group.runs)})", line))
        _finish(axes, quantity)
        if quantity == "loss" and later:  # recipes differ most in their first epoch, which is not what one compares
            axes.set_ylim(bottom=0, top=1.15 * max(later))
    _add_legend(figure, named)
    figure.suptitle("Validation (solid) and training (dotted), mean ± standard deviation over seeds", fontsize=11)
    with warnings.catch_warnings():  # a label in letters that matplotlib's font lacks is drawn as a box
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=150)
    return list(dict.fromkeys(notes))


def _add_legend(figure: Figure, named: Sequence[tuple[str, Line2D]]) -> None:
    """Name lines below the picture, each to the letter, in as many columns as their names leave room for."""
    lines = [line for _, line in named]
    labels = [fill(label, LEGEND_WIDTH, break_on_hyphens=False) for label, _ in named]
    longest = max(len(line) for label in labels for line in label.splitlines())
    columns = max(1, min(3, len(lines), LEGEND_WIDTH // (longest + 6)))
    legend = figure.legend(lines, ["…"] * len(lines), loc="outside lower center", ncols=columns, frameon=False)
    height = max(sum(label.count("\n") + 1 for label in labels[start::columns]) for start in range(columns))
    figure.set_figheight(figure.get_figheight() + 0.21 * max(0, height - 2))
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)  # else what stands between two dollar signs is a formula
        text.set_text(label)  # given to `legend`, a label that begins with an underscore would be left out


def _colors(count: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(count)]


def _complete(run: RunResults, tag: str) -> tuple[dict[int, float], str]:
    curve = read_curve(run.run_dir, tag)
    every = run.settings.get("trainer.check_val_every_n_epoch", "1") if tag.startswith("val/") else "1"
    # None of them is missing where validation follows batches ("None") and not epochs. A run's last epoch is
    # validated too, also that of an earlier end.
    missing = run.fit["epochs"] // int(every) - sum(e % int(every) == 0 for e in curve) if every.isdigit() else 0
    missing = max(missing, 0)  # below it, of curves that are not this run's
    return curve, f"the event files of {run.run_dir} lack {missing} of {run.fit['epochs']} epochs" if missing else ""


def _draw_band(axes: Axes, curves: Sequence[dict[int, float]], color: str, style: str) -> Line2D:
    epochs = sorted(set.intersection(*(set(curve) for curve in curves)))
    values = [[curve[epoch] for curve in curves] for epoch in epochs]
    middle = [mean(at_epoch) for at_epoch in values]
    (line,) = axes.plot(epochs, middle, style, color=color, marker="." if len(epochs) == 1 else "", linewidth=1.6)
    if len(curves) > 1:
        spread = [stdev(at_epoch) for at_epoch in values]
        low, high = ([m + sign * s for m, s in zip(middle, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0)
    return line


def _finish(axes: Axes, quantity: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
