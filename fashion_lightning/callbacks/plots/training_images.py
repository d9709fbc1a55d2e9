"""Training images as they are, and as the network sees them."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from fashion_lightning.callbacks.plots.plot import draws, images_of, tiles, write_figure, writer_of
from fashion_lightning.data.batches import Batch
from fashion_lightning.data.classes import CLASS_NAMES

PER_CLASS, COLUMNS = 2, 5


class TrainingImages(Callback):
    """Shows images of each class from the first batch, each beside its augmented self; once in a run."""

    name = "training images, as they are and augmented"

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step or batch_idx or not (draws(trainer) and isinstance(batch, Batch)):
            return
        images = images_of(trainer, batch.indices.cpu())
        if images is None:
            return
        both = torch.cat([images, torch.full_like(images[..., :2], 255), batch.images.cpu()], dim=3)[:, 0]
        labels = batch.labels.cpu()
        shown, captions = [], []
        for half in (range(5), range(5, 10)):
            for number in range(PER_CLASS):
                for cls in half:
                    of_class = both[labels == cls]
                    shown.append(of_class[number] if number < len(of_class) else torch.full_like(both[0], 255))
                    captions.append("" if number else CLASS_NAMES[cls])
        with writer_of(trainer) as writer:
            if writer is not None:
                write_figure(writer, self.name, tiles(torch.stack(shown).numpy(), captions, COLUMNS), 0)
