"""When plots are drawn, how large, and where they go."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.runs.tensorboard import RunLogger

WIDTH, HIGHEST = 740, 430
"""Pixels: twice the size of a card in TensorBoard, which shrinks higher plots until their text cannot be read."""

FONT_SIZE, LINE = 14, 23
"""Points at 100 dots an inch, and pixels of a line: half of it is still readable."""

LONGEST_NAME = 14
"""Characters of a class that are shown."""

GAP = 16
"""Pixels beside and below an image."""

Evaluation = dict[str, Tensor]
"""What ``fashion_lightning.metrics.Evaluation.compute`` returns."""


class Plot(Callback):
    """Draws a figure after each validation of a ``fit``, at the step of the validation's curves.

    Only the first process draws, before checkpoints are written: what a checkpoint counts as done is drawn. Plots draw
    no random numbers and change nothing of the training.
    """

    name = ""

    def draw(self, model: FashionMNISTClassifier, evaluation: Evaluation) -> Figure | None:
        """Return the figure, or ``None`` if there is nothing to show.

        Args:
            model: the classifier after its validation, in evaluation mode.
            evaluation: its metrics and logits, on the CPU.
        """
        raise NotImplementedError

    def write(self, writer: SummaryWriter, model: FashionMNISTClassifier, evaluation: Evaluation, step: int) -> None:
        """Draw, and write to the run's event file."""
        if (figure := self.draw(model, evaluation)) is not None:
            write_figure(writer, self.name, figure, step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not (draws(trainer) and isinstance(pl_module, FashionMNISTClassifier)):
            return
        evaluation = {name: value.cpu() for name, value in pl_module.evaluations["none"].items()}
        with writer_of(trainer) as writer:
            if writer is not None:
                self.write(writer, pl_module, evaluation, max(0, trainer.global_step - 1))


def draws(trainer: Trainer) -> bool:
    """Check whether this process draws now: in ``fit``, but not in Lightning's sanity check."""
    return trainer.state.fn == "fit" and trainer.is_global_zero and not trainer.sanity_checking


@contextmanager
def writer_of(trainer: Trainer) -> Iterator[SummaryWriter | None]:
    """Yield the writer of the trainer's TensorBoard logger; ``None`` if it has no such logger.

    Raises:
        UserError: the run folder cannot be written to.
    """
    logger = next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
    with logger.naming_the_folder() if isinstance(logger, RunLogger) else nullcontext():
        yield logger.experiment if logger is not None else None


def images_of(trainer: Trainer, indices: Tensor) -> Tensor | None:
    """Return training images ``(N, channels, H, W)`` uint8 by indices ``(N,)``; ``None`` without our DataModule."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    return datamodule.val_set.images[indices] if isinstance(datamodule, FashionMNISTDataModule) else None


def new_figure(height: int = HIGHEST) -> Figure:
    """Return an empty figure of so many pixels; white, since TensorBoard has a dark theme.

    Axes are placed by hand: matplotlib's automatic layouts draw everything twice.
    """
    return Figure(figsize=(WIDTH / 100, height / 100), dpi=100, facecolor="white")


def short(name: str) -> str:
    """Return the name of a class as far as there is room for it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def tiles(images: Tensor, captions: Sequence[str], columns: int) -> Figure:
    """Show images ``(N, channels, H, W)`` uint8 in rows, each below its caption."""
    above = LINE * (1 + max(caption.count("\n") for caption in captions))
    below = (WIDTH // columns - 2 * GAP) * images.shape[2] // images.shape[3]
    rows = -(-len(images) // columns)
    height = rows * (above + below + GAP)
    figure = new_figure(height)
    figure.subplots_adjust(0.02, GAP / height, 0.98, 1 - above / height, wspace=0.1, hspace=(above + GAP) / below)
    for number, (image, caption) in enumerate(zip(images.movedim(1, -1).numpy(), captions, strict=True)):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="auto")
        axes.set_title(caption, fontsize=FONT_SIZE, pad=4, parse_math=False)
        axes.set_axis_off()
    return figure


def write_figure(writer: SummaryWriter, name: str, figure: Figure, step: int) -> None:
    """Write a figure to an event file; ``SummaryWriter.add_figure`` would load pyplot."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    writer.add_image(f"pictures/{name}", pixels, step, dataformats="HWC")
