"""Where the network puts images, for TensorBoard's Projector tab."""

import math
from pathlib import Path
from typing import Any

import torch
from google.protobuf import text_format  # type: ignore[import-untyped]
from lightning import Callback, LightningModule, Trainer
from PIL import Image
from tensorboard.plugins.projector.metadata import PLUGIN_ASSETS_NAME, PROJECTOR_FILENAME
from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo, ProjectorConfig
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torchvision.utils import make_grid

from fashion_lightning.callbacks.plots.picture import images_of, is_drawn, writer_of
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.augment import SIDE
from fashion_lightning.data.batches import Batch
from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.files.durable import replacing

MAX_FEATURES = 4096
"""Of more, a browser makes nothing, and the file would have more than 16 MB."""


class Embedding(Callback):
    """Writes what goes into the last dense layer for the first validation images, with class, guess and thumbnail.

    It is taken from the passes that the validation makes anyway, and the files are replaced after each validation:
    the tab shows the latest one, also of a run that was ended. Networks without such a layer have no embedding.

    Args:
        count: validation images of this process.
    """

    def __init__(self, count: int = 1000) -> None:
        self.count = count
        self.hook: RemovableHandle | None = None
        self.inputs: list[Tensor] = []
        self.indices: list[Tensor] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._forget()
        layer = last_dense_layer(pl_module)
        if is_drawn(trainer) and layer is not None and layer.in_features <= MAX_FEATURES:
            self.hook = layer.register_forward_pre_hook(self._keep)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self.hook is not None and isinstance(batch, Batch):
            self.indices.append(batch.indices.cpu())
            if sum(map(len, self.indices[:-1])) >= self.count:
                self.indices.pop()
                self.hook.remove()

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.inputs.append(inputs[0].detach().float().cpu())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        inputs, indices = self.inputs, self.indices
        self._forget()
        # The layer may have been called otherwise than once with each batch: then nothing tells whose input is whose.
        if [len(part) for part in inputs] != [len(part) for part in indices] or not inputs:
            return
        assert isinstance(pl_module, FashionMNISTClassifier)
        features, places = torch.cat(inputs).flatten(1)[: self.count], torch.cat(indices)[: self.count]
        images = images_of(trainer, places)
        with writer_of(trainer) as writer:
            if writer is not None and images is not None:
                evaluation = {name: value.cpu() for name, value in pl_module.evaluations["none"].items()}
                rows = torch.searchsorted(evaluation["indices"], places)
                probability, guess = evaluation["logits"][rows].softmax(dim=1).max(dim=1)
                words = [
                    f"{CLASS_NAMES[label]}\t{CLASS_NAMES[cls]}\t{100 * share:.1f} %"
                    for label, cls, share in zip(evaluation["labels"][rows], guess, probability, strict=True)
                ]
                folder = Path(writer.log_dir) / "plugins" / PLUGIN_ASSETS_NAME
                write_projector(folder, features, ["class\tguess\tprobability", *words], images)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._forget()

    def _forget(self) -> None:
        if self.hook is not None:
            self.hook.remove()
        self.hook, self.inputs, self.indices = None, [], []


def last_dense_layer(module: nn.Module) -> nn.Linear | None:
    """The last ``nn.Linear`` in the order in which a module names its layers."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return layers[-1] if layers else None


def write_projector(folder: Path, features: Tensor, metadata: list[str], images: Tensor) -> None:
    """Make or replace the files of TensorBoard's Projector tab.

    Args:
        folder: where TensorBoard looks for them; it reads no file outside of it.
        features: ``(N, F)`` float32.
        metadata: a line of names and then a line for each image, cells separated by tabs.
        images: ``(N, 1, 28, 28)`` uint8.
    """
    folder.mkdir(parents=True, exist_ok=True)
    across = math.ceil(math.sqrt(len(images)))
    sprite = Image.fromarray(make_grid(images, nrow=across, padding=0)[0].numpy())
    info = EmbeddingInfo(
        tensor_name="penultimate layer",
        tensor_path="tensors.bytes",
        tensor_shape=features.shape,
        metadata_path="metadata.tsv",
        sprite={"image_path": "sprite.png", "single_image_dim": [SIDE, SIDE]},
    )
    with replacing(folder / "tensors.bytes") as file:
        file.write(features.numpy().tobytes())
    with replacing(folder / "metadata.tsv") as file:
        file.write("\n".join(metadata).encode() + b"\n")
    with replacing(folder / "sprite.png") as file:
        sprite.save(file, "PNG", compress_level=1)
    with replacing(folder / PROJECTOR_FILENAME) as file:
        file.write(text_format.MessageToString(ProjectorConfig(embeddings=[info])).encode())
