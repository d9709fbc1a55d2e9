"""Write one CSV row or JSON record for each image that ``predict`` classifies; print the first photographs' classes."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from fashion_lightning.data.batches import Batch
from fashion_lightning.data.classes import (
    DOUBTFUL,
    FASHION_MNIST,
    WHAT_IT_CANNOT_KNOW,
    Answer,
    ImageSpec,
    in_words,
    likely_names,
)
from fashion_lightning.errors import one_line
from fashion_lightning.files.csv_cells import harmless
from fashion_lightning.files.durable import write_output
from fashion_lightning.tables import print_table

SHOWN = 20
"""Number of photographs in the table on the terminal, about a screen."""


class PredictionsCSV(BasePredictionWriter):
    """Writes the class of every image and the probabilities of all classes.

    The columns are ``image,class,label,correct``, then the class names: ``label`` is the true class and ``correct`` is
    ``true`` or ``false``. For photographs the first columns are ``image,class,doubtful,likely``: whether the
    probability of the class is below ``DOUBTFUL``, and the likely classes. Probabilities have enough digits to
    restore their float32 values.

    Args:
        path: the file, written after the last image; JSON if it ends with ``.json``, else CSV.
        class_names: in the order of the probabilities.
        files: the names of the images; without them, an image is named by its index.
        is_test: whether the images have labels.
    """

    def __init__(
        self, path: Path, class_names: Sequence[str], files: Sequence[str | Path] = (), is_test: bool = True
    ) -> None:
        super().__init__(write_interval="batch")
        self.path, self.class_names, self.files, self.is_test = path, class_names, files, is_test
        self.rows: dict[int, tuple[int, list[str], list[bool]]] = {}  # label, probabilities, whether likely

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
        indices, probabilities, likely = prediction
        texts = probabilities.cpu().numpy().astype(str).tolist()
        self.rows |= zip(indices.tolist(), zip(batch.labels.tolist(), texts, likely.tolist(), strict=True), strict=True)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, self.rows)
            self.rows = {index: row for share in shares for index, row in share.items()}
        if trainer.is_global_zero:
            self.rows = dict(sorted(self.rows.items()))
            write_output(self.path, self._json() if self.path.suffix.lower() == ".json" else self._csv())

    def _told(self, index: int) -> dict[str, Any]:
        """Return the columns of an image before its probabilities."""
        probabilities, likely = self.answer(index)
        cls = self.class_names[probabilities.index(max(probabilities))]
        image = str(self.files[index]) if self.files else index
        if self.is_test:
            label = self.class_names[self.rows[index][0]]
            return {"image": image, "class": cls, "label": label, "correct": cls == label}
        return {"image": image, "class": cls, "doubtful": max(probabilities) < DOUBTFUL, "likely": likely}

    def answer(self, index: int) -> Answer:
        """Return an image's probabilities and likely classes."""
        _, texts, likely = self.rows[index]
        probabilities = list(map(float, texts))
        return probabilities, likely_names(probabilities, likely, self.class_names)

    def _json(self) -> bytes:
        records = [
            {**self._told(index), "probabilities": dict(zip(self.class_names, self.answer(index)[0], strict=True))}
            for index in self.rows
        ]
        return (json.dumps(records, indent=2) + "\n").encode()

    def _csv(self) -> bytes:
        file = io.StringIO(newline="")
        known = ["label", "correct"] if self.is_test else ["doubtful", "likely"]
        table = csv.writer(file)  # no DictWriter: a class may have the name of a column
        table.writerow(["image", "class", *known, *map(harmless, self.class_names)])
        for index, (_, texts, _) in self.rows.items():
            told = [in_words(cell) if isinstance(cell, list) else cell for cell in self._told(index).values()]
            cells = [harmless(cell) if isinstance(cell, str) else json.dumps(cell) for cell in told]
            table.writerow([*cells, *texts])
        # A file name may contain bytes that are not UTF-8; unescaped, they would make the table unreadable.
        return file.getvalue().encode(errors="backslashreplace")


def print_best(photographs: Sequence[Path], answers: Sequence[Answer], images: ImageSpec) -> None:
    """Print the three most probable classes of the first ``SHOWN`` photographs."""
    rows = []
    for path, (row, classes) in list(zip(photographs, answers, strict=False))[:SHOWN]:
        ranked = sorted(zip(row, images.class_names, strict=True), reverse=True)[:3]
        cells = [f"{name} {100 * probability:.1f} %" for probability, name in ranked]
        cells[0] += " ?" if ranked[0][0] < DOUBTFUL else ""
        rows.append([one_line(str(path)), in_words(classes), *cells])
    print_table(["file", "likely", "best", "second", "third"], rows, left=("file", "likely"))
    if doubtful := sum(max(row) < DOUBTFUL for row, _ in answers):
        print(
            f"Doubtful (?): {doubtful:,} of {len(answers):,}. Of Fashion-MNIST's validation images with so low a"
            " probability, half were classified wrongly."
        )
    if len(answers) > SHOWN:
        print(f"The first {SHOWN} of {len(answers):,}; the file has them all.")
    if images == FASHION_MNIST:
        print(f"{WHAT_IT_CANNOT_KNOW}\nPhotographs: fashion-lightning predict --ckpt_path photographs --images FILE")
