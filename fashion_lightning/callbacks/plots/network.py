"""Plots of the network: what its first layer looks for, and where it puts images."""

import math
from pathlib import Path

import torch
from google.protobuf import text_format  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.plugins.projector.metadata import PLUGIN_ASSETS_NAME, PROJECTOR_FILENAME
from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo, ProjectorConfig
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from fashion_lightning.callbacks.plots.plot import WIDTH, Evaluation, Plot, images_of, new_figure
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.files.durable import replacing

FILTERS, COLUMNS = 64, 16


class Filters(Plot):
    """Shows the weights of the first layer, red where they add and blue where they subtract, each by its own scale.

    There is no plot if the first layer is neither a convolution of grey images nor dense over pixels.
    """

    name = "filters of the first layer"

    def draw(self, model: FashionMNISTClassifier, evaluation: Evaluation) -> Figure | None:
        filters = first_filters(model.network, model.images.size)
        if filters is None:
            return None
        filters = filters[:FILTERS].detach().float().cpu()
        filters = filters / filters.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        gap = max(1, filters.shape[-1] // 8)
        grid = make_grid(filters[:, None], nrow=min(COLUMNS, len(filters)), padding=gap, pad_value=float("nan"))[0]
        figure = new_figure(height=max(100, WIDTH * grid.shape[0] // grid.shape[1]))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(grid.numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set_axis_off()
        return figure


def first_filters(network: nn.Module, size: int) -> Tensor | None:
    """Return the weights of the first layer as images ``(N, height, width)``, if they are images."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight[:, 0] if layer.in_channels == 1 and max(layer.kernel_size) > 1 else None
        if isinstance(layer, nn.Linear):
            return layer.weight.view(-1, size, size) if layer.in_features == size**2 else None
    return None


IMAGES = 500
"""Validation images, which go through the network once more."""

MAX_FEATURES = 4096
"""With more, a browser gives up, and the file would have more than 16 MB."""


class Embedding(Plot):
    """Writes the inputs of the last dense layer for the first validation images, with class, guess and thumbnail.

    The files are replaced after each validation: the tab shows the latest one. Networks without such a layer, or whose
    layer is called more than once in a pass, have no embedding.
    """

    def write(self, writer: SummaryWriter, model: FashionMNISTClassifier, evaluation: Evaluation, step: int) -> None:
        layer = last_dense_layer(model.network)
        images = images_of(model.trainer, evaluation["indices"][:IMAGES])
        if layer is None or layer.in_features > MAX_FEATURES or images is None:
            return
        inputs: list[Tensor] = []
        hook = layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0].float().cpu()))
        with torch.no_grad(), model.trainer.precision_plugin.forward_context():
            model(images.to(model.device))
        hook.remove()
        if [len(part) for part in inputs] != [len(images)]:  # nothing tells which input belongs to which image
            return
        probability, guess = evaluation["logits"][:IMAGES].softmax(dim=1).max(dim=1)
        names = model.images.class_names
        lines = [
            f"{names[label]}\t{names[cls]}\t{100 * share:.1f} %"
            for label, cls, share in zip(evaluation["labels"][:IMAGES], guess, probability, strict=True)
        ]
        features = inputs[0].flatten(1)
        folder = Path(writer.log_dir) / "plugins" / PLUGIN_ASSETS_NAME  # the only one in which TensorBoard looks
        folder.mkdir(parents=True, exist_ok=True)
        across = math.ceil(math.sqrt(len(images)))
        sprite = Image.fromarray(make_grid(images, nrow=across, padding=0).movedim(0, -1).numpy())
        info = EmbeddingInfo(
            tensor_name="penultimate layer",
            tensor_path="tensors.bytes",
            tensor_shape=features.shape,
            metadata_path="metadata.tsv",
            sprite={"image_path": "sprite.png", "single_image_dim": [model.images.size] * 2},
        )
        contents = {
            "tensors.bytes": features.numpy().tobytes(),
            "metadata.tsv": "\n".join(["class\tguess\tprobability", *lines]).encode() + b"\n",
            PROJECTOR_FILENAME: text_format.MessageToString(ProjectorConfig(embeddings=[info])).encode(),
        }
        with replacing(folder / "sprite.png") as file:
            sprite.save(file, "PNG", compress_level=1)
        for name, content in contents.items():
            with replacing(folder / name) as file:
                file.write(content)


def last_dense_layer(module: nn.Module) -> nn.Linear | None:
    """Return the last ``nn.Linear`` in the order in which a module names its layers."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return layers[-1] if layers else None
