"""``predict`` writes one CSV row an image, or JSON, and shows the first in a table."""

import csv
import io
import json
import os
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
from fashion_lightning.data.classes import CLASS_NAMES, DOUBTFUL
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.csv_cells import harmless
from fashion_lightning.files.durable import replacing

SHOWN = 20
"""Pictures in the table on the terminal: about a screen."""

WHAT_IT_CANNOT_KNOW = (
    "The classifier has learnt from garments laid flat and seen from the front, and from shoes seen from the side;"
    "\nwhite ones do not occur in its data. Of other pictures it cannot know."
)


def output_path(given: str) -> Path:
    """The file that ``--output`` names, looked at before anything is predicted.

    Only CSV and JSON files are replaced. What is no regular file (a device, a FIFO) is written to.

    Raises:
        UserError: nothing can be written there, or a file that is neither CSV nor JSON would be lost.
    """
    path = ready_to_write("--output", given)
    if path.is_file() and path.suffix.lower() not in (".csv", ".json") and not path.is_relative_to("/dev"):
        raise UserError(
            f"--output {given} is there already and no .csv or .json file; it is not replaced. Name another file."
        )
    return path


def ready_to_write(option: str, given: str) -> Path:
    """The path of a file, of which it is known that it could be written.

    Raises:
        UserError: nothing can be written there.
    """
    try:
        path = Path(given).expanduser()
        is_folder, exists = path.is_dir(), path.exists()
        parent = next((folder for folder in path.absolute().parents if folder.exists()), None)
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, an unknown ~user
        raise UserError(f"{option} {given!r} cannot be used ({error}).") from error
    if is_folder or not given.strip():
        raise UserError(f"{option} needs the name of a file, not of a folder: {given!r}.")
    if not exists and parent is not None and not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise UserError(f"{option} {given} cannot be written: {parent} takes no new file.")
    return path


def write_output(path: Path, content: bytes) -> None:
    """Replace a regular file in one step, of a symbolic link the one that it names; write to anything else."""
    if path.is_relative_to("/dev") or (path.exists() and not path.is_file()):
        with path.open("wb") as device:
            device.write(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path.resolve()) as file:
        file.write(content)


class PredictionsCSV(BasePredictionWriter):
    """Writes the class and the ten probabilities of every image; of test images also the true class.

    The columns are ``image,class,label,correct``, then the ten class names. ``label`` is the true class and
    ``correct`` is ``true`` or ``false``. Of the user's own images, whose class nobody knows, it is
    ``image,class,doubtful``: whether the class's probability is below ``DOUBTFUL``.
    A probability has the fewest digits that give its float32 back, so that what is computed from the table equals
    what is computed from the network's output.

    Args:
        path: the file; JSON where it ends with ``.json``, else CSV. Written when all images are done.
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
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        files = self.datamodule.picture_paths
        indices, probabilities = prediction
        classes = probabilities.argmax(dim=1).tolist()
        shortest = probabilities.cpu().numpy().astype(str).tolist()
        for index, cls, label, texts in zip(indices.tolist(), classes, batch.labels.tolist(), shortest, strict=True):
            name = harmless(str(files[index])) if files else index
            doubtful, correct = str(float(texts[cls]) < DOUBTFUL).lower(), str(cls == label).lower()
            known = [doubtful] if files else [CLASS_NAMES[label], correct]
            self.rows[index] = [name, CLASS_NAMES[cls], *known, *texts]

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, self.rows)
            self.rows = {index: row for share in shares for index, row in share.items()}
        if not trainer.is_global_zero:
            return
        if self.path.suffix.lower() == ".json":
            files = self.datamodule.picture_paths
            records = [
                {
                    "image": str(files[index]) if files else index,
                    "class": row[1],
                    **({"doubtful": row[2] == "true"} if files else {}),
                    "probabilities": dict(zip(CLASS_NAMES, map(float, row[-len(CLASS_NAMES) :]), strict=True)),
                }
                for index, row in sorted(self.rows.items())
            ]
            write_output(self.path, (json.dumps(records, indent=2) + "\n").encode())
            return
        table = io.StringIO(newline="")
        in_order = [row for _, row in sorted(self.rows.items())]
        known = ["doubtful"] if self.datamodule.picture_paths else ["label", "correct"]
        csv.writer(table).writerows([["image", "class", *known, *CLASS_NAMES], *in_order])
        # A file name may hold bytes that are no text, with which no program could read the table as UTF-8.
        write_output(self.path, table.getvalue().encode(errors="backslashreplace"))


def print_best(writer: PredictionsCSV) -> None:
    """Print the three most probable classes of the user's own pictures, of the first ``SHOWN``."""
    files, count = writer.datamodule.picture_paths, len(CLASS_NAMES)
    classes = (Column(name, no_wrap=True) for name in ("best", "second", "third"))
    table = Table(Column("file", overflow="fold"), *classes)
    for index, row in sorted(writer.rows.items())[:SHOWN]:
        ranked = sorted(zip(map(float, row[-count:]), CLASS_NAMES, strict=True), reverse=True)[:3]
        name = Text(one_line(str(files[index])))  # a file may be called [red]
        mark = " ?" if ranked[0][0] < DOUBTFUL else ""
        best, *others = (f"{cls} {100 * probability:.1f} %" for probability, cls in ranked)
        table.add_row(name, best + mark, *others)
    Console().print(table)
    if doubtful := sum(row[2] == "true" for row in writer.rows.values()):
        print(
            f"Doubtful (?): {doubtful:,} of {len(writer.rows):,}. Of validation images with so low a probability, half"
            " are wrong."
        )
    if len(writer.rows) > SHOWN:
        print(f"The first {SHOWN} of {len(writer.rows):,}; the file has them all.")
    print(WHAT_IT_CANNOT_KNOW)
