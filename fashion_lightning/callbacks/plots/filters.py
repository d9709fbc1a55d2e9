"""What the first layer looks for."""

from matplotlib.figure import Figure
from torch import Tensor, nn
from torchvision.utils import make_grid

from fashion_lightning.callbacks.plots.plot import WIDTH, Evaluation, Plot, new_figure
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.augment import SIDE

COUNT, COLUMNS = 64, 16


class Filters(Plot):
    """Shows the weights of the first layer, red where they add and blue where they subtract, each by its own scale.

    There is no plot if the first layer is neither a convolution of grey images nor dense over pixels.
    """

    name = "filters of the first layer"

    def draw(self, model: FashionMNISTClassifier, evaluation: Evaluation) -> Figure | None:
        filters = first_filters(model.network)
        if filters is None:
            return None
        filters = filters[:COUNT].detach().float().cpu()
        filters = filters / filters.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        gap = max(1, filters.shape[-1] // 8)
        grid = make_grid(filters[:, None], nrow=min(COLUMNS, len(filters)), padding=gap, pad_value=float("nan"))[0]
        figure = new_figure(height=max(100, WIDTH * grid.shape[0] // grid.shape[1]))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(grid.numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set_axis_off()
        return figure


def first_filters(network: nn.Module) -> Tensor | None:
    """Return the weights of the first layer as images ``(N, height, width)``, if they are images."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight[:, 0] if layer.in_channels == 1 and max(layer.kernel_size) > 1 else None
        if isinstance(layer, nn.Linear):
            return layer.weight.view(-1, SIDE, SIDE) if layer.in_features == SIDE * SIDE else None
    return None
