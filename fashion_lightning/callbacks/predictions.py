"""``predict`` writes one CSV row or JSON record an image, and shows the first photographs in a table."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from torch import Tensor

from fashion_lightning.data.batches import Batch
from fashion_lightning.data.classes import (
    DOUBTFUL,
    FASHION_MNIST,
    WHAT_IT_CANNOT_KNOW,
    ImageSpec,
    in_words,
    likely_names,
)
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.csv_cells import harmless
from fashion_lightning.files.durable import output_file, write_output

SHOWN = 20
"""Photographs in the table on the terminal: about a screen."""


def predictions_file(given: str) -> Path:
    """Check the file that ``--output`` names.

    Raises:
        UserError: nothing can be written there, or it is named as another kind of file.
    """
    path = output_file("--output", given)
    if path.suffix.lower() not in (".csv", ".json") and not path.is_relative_to("/dev"):
        raise UserError(f"--output must end in .csv or .json, not {path.name!r}.")
    return path


class PredictionsCSV(BasePredictionWriter):
    """Writes the class and the probabilities of all classes of every image.

    The columns are ``image,class,label,correct``, then the class names: ``label`` is the true class and ``correct`` is
    ``true`` or ``false``. For photographs they are ``image,class,doubtful,likely``: whether the probability of the
    class is below ``DOUBTFUL``, and the likely classes. Probabilities have the fewest digits that give their float32
    back.

    Args:
        path: the file, written when all images are done; JSON if it ends with ``.json``, else CSV.
        class_names: in the order of the probabilities.
        photographs: their files; test images are named by their index.
    """

    def __init__(self, path: Path, class_names: Sequence[str], photographs: Sequence[Path] | None = None) -> None:
        super().__init__(write_interval="batch")
        self.path, self.class_names, self.photographs = path, class_names, photographs
        self.labels: dict[int, int] = {}
        self.probabilities: dict[int, list[str]] = {}
        self.likely: dict[int, list[bool]] = {}

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: tuple[Tensor, Tensor, Tensor],
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        indices = prediction[0].tolist()
        self.labels |= zip(indices, batch.labels.tolist(), strict=True)
        self.probabilities |= zip(indices, prediction[1].cpu().numpy().astype(str).tolist(), strict=True)
        self.likely |= zip(indices, prediction[2].tolist(), strict=True)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, (self.labels, self.probabilities, self.likely))
            for labels, probabilities, likely in shares:
                self.labels |= labels
                self.probabilities |= probabilities
                self.likely |= likely
        if trainer.is_global_zero:
            self.probabilities = dict(sorted(self.probabilities.items()))
            write_output(self.path, self._json() if self.path.suffix.lower() == ".json" else self._csv())

    def _told(self, index: int) -> dict[str, Any]:
        """Return what is told of an image beside its probabilities."""
        probabilities = list(map(float, self.probabilities[index]))
        cls = self.class_names[probabilities.index(max(probabilities))]
        if self.photographs is None:
            label = self.class_names[self.labels[index]]
            return {"image": index, "class": cls, "label": label, "correct": cls == label}
        doubtful = max(probabilities) < DOUBTFUL
        image = str(self.photographs[index])
        return {"image": image, "class": cls, "doubtful": doubtful, "likely": self.likely_of(index)}

    def likely_of(self, index: int) -> list[str]:
        """Return the likely classes of an image."""
        return likely_names(list(map(float, self.probabilities[index])), self.likely[index], self.class_names)

    def _json(self) -> bytes:
        records = [
            {**self._told(index), "probabilities": dict(zip(self.class_names, map(float, texts), strict=True))}
            for index, texts in self.probabilities.items()
        ]
        return (json.dumps(records, indent=2) + "\n").encode()

    def _csv(self) -> bytes:
        file = io.StringIO(newline="")
        known = ["label", "correct"] if self.photographs is None else ["doubtful", "likely"]
        table = csv.writer(file)  # a class may be called as another column
        table.writerow(["image", "class", *known, *map(harmless, self.class_names)])
        for index, texts in self.probabilities.items():
            told = [in_words(cell) if isinstance(cell, list) else cell for cell in self._told(index).values()]
            cells = [harmless(cell) if isinstance(cell, str) else json.dumps(cell) for cell in told]
            table.writerow([*cells, *texts])
        # A file name may hold bytes that are no text; then no program could read the table as UTF-8.
        return file.getvalue().encode(errors="backslashreplace")


def print_best(
    photographs: Sequence[Path],
    probabilities: Sequence[Sequence[float]],
    likely: Sequence[Sequence[str]],
    images: ImageSpec,
) -> None:
    """Print the three most probable classes of the first ``SHOWN`` photographs."""
    best = (Column(name, no_wrap=True) for name in ("best", "second", "third"))
    table = Table(Column("file", overflow="fold"), "likely", *best)
    for path, row, classes in list(zip(photographs, probabilities, likely, strict=True))[:SHOWN]:
        ranked = sorted(zip(row, images.class_names, strict=True), reverse=True)[:3]
        cells = [f"{name} {100 * probability:.1f} %" for probability, name in ranked]
        cells[0] += " ?" if ranked[0][0] < DOUBTFUL else ""
        # Text: a file or class may be called [red]
        table.add_row(Text(one_line(str(path))), Text(in_words(classes)), *map(Text, cells))
    Console().print(table)
    if doubtful := sum(max(row) < DOUBTFUL for row in probabilities):
        print(
            f"Doubtful (?): {doubtful:,} of {len(probabilities):,}. Half of the validation images with so low a"
            " probability are wrong."
        )
    if len(probabilities) > SHOWN:
        print(f"The first {SHOWN} of {len(probabilities):,}; the file has them all.")
    if images == FASHION_MNIST:
        print(f"{WHAT_IT_CANNOT_KNOW}\nFor photographs, train another: fashion-lightning fit --config photographs")
