"""``predict`` writes one CSV row an image."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.runs.durable import replacing


class PredictionsCSV(BasePredictionWriter):
    """Writes the class and the ten probabilities of every image.

    Args:
        path: the CSV file; replaced in one step when all images are done.
        datamodule: knows the files that the images came from; test images are called by their index.
    """

    def __init__(self, path: Path, datamodule: FashionMNISTDataModule) -> None:
        super().__init__(write_interval="batch")
        self.path, self.datamodule = path, datamodule
        self.rows: dict[int, list[Any]] = {}

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: tuple[Tensor, Tensor],
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        files = self.datamodule.picture_paths
        for index, probabilities in zip(*(part.tolist() for part in prediction), strict=True):
            best = max(range(len(CLASS_NAMES)), key=probabilities.__getitem__)
            name = files[index] if files else index
            self.rows[index] = [name, CLASS_NAMES[best], *(f"{p:.6f}" for p in probabilities)]

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, self.rows)
            self.rows = {index: row for share in shares for index, row in share.items()}
        if not trainer.is_global_zero:
            return
        table = io.StringIO(newline="")
        in_order = [row for _, row in sorted(self.rows.items())]
        csv.writer(table).writerows([["image", "class", *CLASS_NAMES], *in_order])
        with replacing(self.path) as file:
            file.write(table.getvalue().encode())
