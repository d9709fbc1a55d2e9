"""Draw the plots of a run for TensorBoard, beyond its curves: one function for each plot."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from matplotlib import rcParams
from matplotlib.figure import Figure
from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.batches import Batch
from fashion_lightning.runs.tensorboard import RunLogger

rcParams["text.parse_math"] = False  # a class may be called $x$

WIDTH, HIGHEST = 350, 215
"""Pixels of a card in TensorBoard. It shrinks larger plots by dropping pixels, and letters would lose strokes."""

FONT_SIZE, LINE = 7, 12
"""Size of text in points, at 100 dots per inch, and height of a line of text in pixels."""

LONGEST_NAME = 14
"""Class names are shortened to this many characters."""

MOST_ACROSS = 14
"""With at most this many classes, the matrix has horizontal names and the shares as numbers."""

GAP = 8
"""Pixels beside and below an image."""


class Pictures(Callback):
    """Draws a run's first batch and, after each validation in ``fit``, plots at that validation's step.

    Only rank 0 draws. It draws before checkpoints are written, so that a resumed run lacks no plot of an earlier
    validation. Plots use no random numbers and do not change the training.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if (
            trainer.global_step == batch_idx == 0
            and isinstance(pl_module, FashionMNISTClassifier)
            and (logger := logger_to_draw(trainer)) is not None
        ):
            figure = first_images(pl_module, batch)
            logger.experiment.add_figure("pictures/training images, as they are and augmented", figure, 0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (logger := logger_to_draw(trainer)) is None or not isinstance(pl_module, FashionMNISTClassifier):
            return
        evaluation, step = pl_module.evaluations["none"], max(0, trainer.global_step - 1)
        for name, draw in FIGURES.items():
            if (figure := draw(pl_module, evaluation)) is not None:
                logger.experiment.add_figure(f"pictures/{name}", figure, step)
        probabilities, labels = evaluation["logits"].softmax(dim=1).numpy(), evaluation["labels"].numpy()
        for number, name in enumerate(pl_module.images.class_names[:30]):  # each against the others
            tag = f"precision and recall/{name.replace('/', ' or ')}"  # a slash would make a group of it
            logger.experiment.add_pr_curve(tag, labels == number, probabilities[:, number], step)


def logger_to_draw(trainer: Trainer) -> RunLogger | None:
    """Return the logger if this process must draw now: on rank 0, in ``fit``, not in Lightning's sanity check."""
    draws = trainer.state.fn == "fit" and trainer.is_global_zero and not trainer.sanity_checking
    return trainer.logger if draws and isinstance(trainer.logger, RunLogger) else None


def new_figure(height: int = HIGHEST) -> Figure:
    """Return an empty figure, ``height`` pixels high, and white, because TensorBoard has a dark theme.

    Axes are placed by hand, because matplotlib's automatic layouts draw everything twice.
    """
    return Figure(figsize=(WIDTH / 100, height / 100), dpi=100, facecolor="white")


def short(name: str) -> str:
    """Shorten a class name to ``LONGEST_NAME`` characters."""
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
        axes.set_title(caption, fontsize=FONT_SIZE, pad=2)
        axes.set_axis_off()
    return figure


def first_images(model: FashionMNISTClassifier, batch: Batch) -> Figure:
    """Show up to two images of each of ten classes in the batch, without and with augmentation."""
    names, data = model.images.class_names, model.trainer.datamodule  # type: ignore[attr-defined]
    images = data.in_size(data.train_set.images[batch.indices.cpu()])
    both = torch.cat([images, torch.full_like(images[..., :2], 255), batch.images[: len(images)].cpu()], dim=3)
    shown = [
        place
        for cls in sorted({*batch.labels.tolist()})[:10]
        for place in (batch.labels == cls).nonzero()[:2, 0].tolist()
    ]
    return tiles(both[shown], [short(names[batch.labels[place]]) for place in shown], columns=5)


def confusion_matrix(model: FashionMNISTClassifier, evaluation: dict[str, Tensor]) -> Figure:
    """Show, for each true class, the percentage of its validation images that was classified as each class."""
    counts = evaluation["confusion"].double()
    shares = (100 * counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).numpy()
    figure = new_figure()
    axes = figure.add_axes((0.185, 0.22, 0.78, 0.77))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    shown = (shares >= 0.5) & (len(shares) <= MOST_ACROSS)
    for row, column in zip(*shown.nonzero(), strict=True):
        share = shares[row, column]
        text, color = f"{share:.1f}" if share < 99.95 else "100", "white" if share > 55 else "black"
        axes.text(column, row, text, color=color, ha="center", va="center", fontsize=FONT_SIZE)
    names = [short(name) for name in model.images.class_names]
    size = min(FONT_SIZE, 100 / len(names))
    axes.set_yticks(range(len(names)), names, fontsize=size)
    two_lines = [f"\n{name}" if number % 2 else name for number, name in enumerate(names)]  # wide names overlap
    axes.set_xticks(range(len(names)), two_lines, fontsize=size, rotation=90 if len(names) > MOST_ACROSS else 0)
    axes.set_xlabel("predicted class, in % of the true class", fontsize=FONT_SIZE)
    axes.tick_params(length=0)
    return figure


def mistakes(model: FashionMNISTClassifier, evaluation: dict[str, Tensor]) -> Figure | None:
    """Show the most confident mistakes on validation images, with label, prediction and its probability."""
    probability, guess = evaluation["logits"].softmax(dim=1).max(dim=1)
    labels = evaluation["labels"]
    wrong = (guess != labels).nonzero()[:, 0]
    worst = wrong[probability[wrong].argsort(descending=True, stable=True)[:8]]
    if not len(worst):
        return None
    names = model.images.class_names
    captions = [
        f"{short(names[labels[place]])}\n→ {short(names[guess[place]])} {100 * probability[place]:.0f} %"
        for place in worst.tolist()
    ]
    images = model.trainer.datamodule.val_set.images[evaluation["indices"][worst]]  # type: ignore[attr-defined]
    return tiles(images, captions, columns=4)


FIGURES = {"confusion matrix": confusion_matrix, "most confident mistakes": mistakes}
"""The plots after each validation: functions of the classifier, in evaluation mode, and of its results on the CPU."""
