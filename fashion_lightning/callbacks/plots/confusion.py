"""Which classes are taken for which."""

from matplotlib.figure import Figure

from fashion_lightning.callbacks.plots.plot import FONT_SIZE, Evaluation, Plot, new_figure
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.classes import CLASS_NAMES


class ConfusionMatrix(Plot):
    """Shows the share of each class's validation images, in percent, that was taken for each class."""

    name = "confusion matrix"

    def draw(self, model: FashionMNISTClassifier, evaluation: Evaluation) -> Figure:
        counts = evaluation["confusion"].double()
        shares = (100 * counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).numpy()
        figure = new_figure()
        axes = figure.add_axes((0.165, 0.18, 0.8, 0.81))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for row, column in zip(*(shares >= 0.05).nonzero(), strict=True):
            share = shares[row, column]
            text = f"{share:.1f}" if share < 99.95 else "100"
            color = "white" if share > 55 else "black"
            axes.text(column, row, text, color=color, ha="center", va="center", fontsize=FONT_SIZE)
        axes.set_yticks(range(len(CLASS_NAMES)), CLASS_NAMES, fontsize=FONT_SIZE)
        two_lines = [f"\n{name}" if number % 2 else name for number, name in enumerate(CLASS_NAMES)]  # names are wide
        axes.set_xticks(range(len(CLASS_NAMES)), two_lines, fontsize=FONT_SIZE)
        axes.set_xlabel("predicted class, in % of the true class", fontsize=FONT_SIZE)
        axes.tick_params(length=0)
        return figure
