"""Plots of what a validation measured: confusion, confident mistakes, precision and recall, reliability."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from fashion_lightning.calibration import BINS, calibration
from fashion_lightning.callbacks.plots.plot import FONT_SIZE, Evaluation, Plot, images_of, new_figure, short, tiles
from fashion_lightning.classifier import FashionMNISTClassifier

MOST_ACROSS = 14
"""Classes whose names stand side by side, and whose shares are written into the matrix."""


class ConfusionMatrix(Plot):
    """Shows the share of each class's validation images, in percent, that was taken for each class."""

    name = "confusion matrix"

    def draw(self, model: FashionMNISTClassifier, evaluation: Evaluation) -> Figure:
        counts = evaluation["confusion"].double()
        shares = (100 * counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).numpy()
        figure = new_figure()
        axes = figure.add_axes((0.165, 0.18, 0.8, 0.81))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        shown = (shares >= 0.5) & (len(shares) <= MOST_ACROSS)
        for row, column in zip(*shown.nonzero(), strict=True):
            share = shares[row, column]
            text = f"{share:.1f}" if share < 99.95 else "100"
            color = "white" if share > 55 else "black"
            axes.text(column, row, text, color=color, ha="center", va="center", fontsize=FONT_SIZE)
        names = [short(name) for name in model.images.class_names]
        size = min(FONT_SIZE, 200 / len(names))
        axes.set_yticks(range(len(names)), names, fontsize=size)
        two_lines = [f"\n{name}" if number % 2 else name for number, name in enumerate(names)]  # names are wide
        axes.set_xticks(range(len(names)), two_lines, fontsize=size, rotation=90 if len(names) > MOST_ACROSS else 0)
        axes.set_xlabel("predicted class, in % of the true class", fontsize=FONT_SIZE)
        axes.tick_params(length=0)
        return figure


COUNT, COLUMNS = 8, 4

MOST_CURVES = 30
"""Classes with a curve of precision and recall."""


class Mistakes(Plot):
    """Shows the validation images whose wrong class has the highest probability: truth, guess and probability."""

    name = "most confident mistakes"

    def draw(self, model: FashionMNISTClassifier, evaluation: Evaluation) -> Figure | None:
        probability, guess = evaluation["logits"].softmax(dim=1).max(dim=1)
        labels = evaluation["labels"]
        wrong = (guess != labels).nonzero()[:, 0]
        worst = wrong[probability[wrong].argsort(descending=True, stable=True)[:COUNT]]
        images = images_of(model.trainer, evaluation["indices"][worst])
        if images is None or not len(images):
            return None
        names = model.images.class_names
        captions = [
            f"{short(names[labels[place]])}\n→ {short(names[guess[place]])} {100 * probability[place]:.0f} %"
            for place in worst.tolist()
        ]
        return tiles(images, captions, COLUMNS)


class PrecisionRecall(Plot):
    """Logs the curve of each class against all others over the validation images, for the PR Curves tab."""

    def write(self, writer: SummaryWriter, model: FashionMNISTClassifier, evaluation: Evaluation, step: int) -> None:
        probabilities, labels = evaluation["logits"].softmax(dim=1).numpy(), evaluation["labels"].numpy()
        for number, name in enumerate(model.images.class_names[:MOST_CURVES]):
            tag = f"precision and recall/{name.replace('/', ' or ')}"  # a slash would make a group of it
            writer.add_pr_curve(tag, labels == number, probabilities[:, number], step)


class Reliability(Plot):
    """Shows the share of right guesses over the probability that the network gave them, and how many have which."""

    name = "reliability"

    def draw(self, model: FashionMNISTClassifier, evaluation: Evaluation) -> Figure:
        found = calibration(evaluation["logits"], evaluation["labels"])
        edges = 100 * np.arange(BINS) / BINS
        style: dict[str, Any] = {"width": 100 / BINS, "align": "edge", "edgecolor": "white"}
        figure = new_figure()
        above, below = figure.add_axes((0.11, 0.41, 0.86, 0.51)), figure.add_axes((0.11, 0.15, 0.86, 0.18))
        above.bar(edges, 100 * found.accuracy.nan_to_num().numpy(), color="#0072B2", label="right", **style)
        above.plot([0, 100], [0, 100], color="#D55E00", label="as often as it says")
        below.bar(edges, 100 * (found.images / found.images.sum()).numpy(), color="#7F7F7F", **style)
        above.set_title(f"expected calibration error {100 * found.ece:.1f} %", fontsize=FONT_SIZE)
        above.legend(fontsize=FONT_SIZE, frameon=False, loc="upper left")
        above.set_ylabel("right, %", fontsize=FONT_SIZE)
        below.set_ylabel("images, %", fontsize=FONT_SIZE)
        below.set_xlabel("probability of the predicted class, %", fontsize=FONT_SIZE)
        for axes in (above, below):
            axes.set(xlim=(0, 100), ylim=(0, 100), xticks=range(0, 101, 20), yticks=(0, 50, 100))
            axes.tick_params(labelsize=FONT_SIZE)
            axes.spines[["top", "right"]].set_visible(False)
        return figure
