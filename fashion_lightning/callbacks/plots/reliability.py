"""Whether the network is right as often as it says."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fashion_lightning.calibration import BINS, calibration
from fashion_lightning.callbacks.plots.plot import FONT_SIZE, Evaluation, Plot, new_figure
from fashion_lightning.classifier import FashionMNISTClassifier


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
