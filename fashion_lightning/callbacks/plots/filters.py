"""What the first layer looks for."""

import matplotlib
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from fashion_lightning.callbacks.plots.drawing import tiles
from fashion_lightning.callbacks.plots.picture import Picture
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.augment import SIDE

COLUMNS = 8


class Filters(Picture):
    """Draws the weights of the first layer, red where they add and blue where they subtract, each by its own scale.

    Nothing is drawn of a network whose first layer is neither a convolution of grey images nor dense over pixels.

    Args:
        count: how many filters at most.
    """

    def __init__(self, count: int = 64) -> None:
        self.count = count

    def draw(
        self, writer: SummaryWriter, model: FashionMNISTClassifier, evaluation: dict[str, Tensor], step: int
    ) -> None:
        filters = first_filters(model.network)
        if filters is None:
            return
        filters = filters[: self.count].detach().float().cpu()
        filters = filters / filters.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        colors = matplotlib.colormaps["RdBu_r"]((filters.numpy() + 1) / 2, bytes=True)[..., :3]
        rows = [colors[first : first + COLUMNS] for first in range(0, len(colors), COLUMNS)]
        picture = tiles([[(weights, "") for weights in row] for row in rows])
        writer.add_image("pictures/filters of the first layer", picture, step, dataformats="HWC")


def first_filters(network: nn.Module) -> Tensor | None:
    """The weights of the first layer as images ``(N, height, width)``."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight[:, 0] if layer.in_channels == 1 and max(layer.kernel_size) > 1 else None
        if isinstance(layer, nn.Linear):
            return layer.weight.view(-1, SIDE, SIDE) if layer.in_features == SIDE * SIDE else None
    return None
