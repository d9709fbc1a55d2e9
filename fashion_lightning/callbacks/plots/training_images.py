"""Training images as they are, and as the network sees them."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from fashion_lightning.callbacks.plots.plot import draws, images_of, short, tiles, write_figure, writer_of
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.batches import Batch

PER_CLASS, COLUMNS = 2, 5


class TrainingImages(Callback):
    """Shows images of up to ten classes from the first batch, each beside its augmented self; once in a run."""

    name = "training images, as they are and augmented"

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step or batch_idx or not (draws(trainer) and isinstance(batch, Batch)):
            return
        assert isinstance(pl_module, FashionMNISTClassifier)
        images = images_of(trainer, batch.indices.cpu())
        if images is None:
            return
        both = torch.cat([images, torch.full_like(images[..., :2], 255), batch.images.cpu()], dim=3)
        labels = batch.labels.cpu()
        shown, captions = [], []
        names = pl_module.images.class_names[: 2 * COLUMNS]
        columns = min(COLUMNS, len(names))
        for start in range(0, len(names), columns):
            for number in range(PER_CLASS):
                for cls in range(start, start + columns):
                    of_class = both[labels == cls]
                    shown.append(of_class[number] if number < len(of_class) else torch.full_like(both[0], 255))
                    captions.append("" if number else short("".join(names[cls : cls + 1])))
        with writer_of(trainer) as writer:
            if writer is not None:
                write_figure(writer, self.name, tiles(torch.stack(shown), captions, columns), 0)
