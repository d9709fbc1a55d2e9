"""Training images as they are, and as the network sees them."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from fashion_lightning.callbacks.plots.drawing import tiles
from fashion_lightning.callbacks.plots.picture import images_of, is_drawn, writer_of
from fashion_lightning.data.batches import Batch
from fashion_lightning.data.classes import CLASS_NAMES


class TrainingImages(Callback):
    """Draws images of each class out of the first batch, to the right of each its augmented self; once in a run.

    Args:
        per_class: how many.
    """

    def __init__(self, per_class: int = 2) -> None:
        self.per_class = per_class
        self.drawn = False

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.drawn or trainer.global_step or not (is_drawn(trainer) and isinstance(batch, Batch)):
            return
        self.drawn = True
        as_they_are = images_of(trainer, batch.indices.cpu())
        if as_they_are is None:
            return
        both = torch.cat([as_they_are, torch.zeros_like(as_they_are[..., :2]) + 255, batch.images.cpu()], dim=3)
        labels = batch.labels.cpu()
        rows = []
        for half in (range(5), range(5, 10)):
            shown = [both[labels == cls][: self.per_class] for cls in half]
            for number in range(self.per_class):
                blank = torch.full_like(both[0], 255)
                images = [of_class[number] if number < len(of_class) else blank for of_class in shown]
                captions = [CLASS_NAMES[cls] if number == 0 else "" for cls in half]
                rows.append([(image[0].numpy(), caption) for image, caption in zip(images, captions, strict=True)])
        tag = "pictures/training images, as they are and augmented"
        with writer_of(trainer) as writer:
            if writer is not None:
                writer.add_image(tag, tiles(rows), 0, dataformats="HWC")
