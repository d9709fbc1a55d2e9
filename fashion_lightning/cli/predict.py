"""``predict``: classes and probabilities of the test images, or of a person's photographs."""

import sys

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fashion_lightning.callbacks.predictions import PredictionsCSV, predictions_file, print_best
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.start import beside, start
from fashion_lightning.data.batches import EVAL_BATCH_SIZE, Batch, ImagesInMemory, InOrder, batch_loader
from fashion_lightning.errors import UserError
from fashion_lightning.photographs.files import find_pictures, read_pictures
from fashion_lightning.photographs.preview import preview_file, write_preview


def predict(cli: FashionMNISTCLI) -> None:
    """Write classes and probabilities of the test images, or of the user's photographs."""
    output, images, preview = cli.given.output, cli.given.images, cli.given.preview
    path = beside(cli, "predictions.csv" if images is None else "predictions_images.csv")
    path = path if output is None else predictions_file(output)
    preview = None if preview is None else preview_file(preview, images is not None)
    photographs, loader = None, None
    if images is not None:
        found = find_pictures(images)
        photographs = read_pictures(found, cli.trainer.is_global_zero)
        loader = _loader(photographs.images, cli.trainer.global_rank, cli.trainer.world_size)
    writer = PredictionsCSV(path, photographs and photographs.paths)
    cli.trainer.callbacks.append(writer)  # type: ignore[attr-defined]
    start(cli, loader=loader)
    if not cli.trainer.is_global_zero:
        return
    probabilities = [list(map(float, row)) for row in writer.probabilities.values()]
    if photographs is not None:
        print_best(photographs.paths, probabilities)
    count = "1 prediction" if len(probabilities) == 1 else f"{len(probabilities):,} predictions"
    print(f"{count} written to {path}")
    if photographs is not None and preview is not None:
        print(write_preview(preview, photographs.paths, probabilities))
    if photographs is not None and photographs.broken:
        print(*(f"skipped: {line}" for line in photographs.broken), sep="\n", file=sys.stderr)
        raise UserError(f"{len(photographs.broken):,} of {len(found):,} files were skipped.")


def _loader(images: Tensor, rank: int, world_size: int) -> DataLoader[Batch]:
    """Batches of images without labels; if there are more processes than images, the others repeat the first image."""
    sampler = InOrder(len(images), EVAL_BATCH_SIZE, rank, world_size)
    if not len(sampler.positions):
        sampler.positions = torch.tensor([0])
    return batch_loader(ImagesInMemory(images, torch.full((len(images),), -1)), sampler)
