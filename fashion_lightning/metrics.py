"""The metrics of training, validation and test; all are computed over images, never averaged over batches."""

from typing import Literal, NamedTuple

import torch
from lightning import Trainer
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)
from torchmetrics.utilities import dim_zero_cat

from fashion_lightning.data.classes import BELIEVED, COVERAGE, Limits

SCALARS = ("accuracy", "top5")
"""The metrics with one value, besides the loss; the others have one value per class, or are a matrix ``(10, 10)``."""

TRAIN_METRICS = ("train/loss", "train/accuracy")
"""The metrics of training, which are logged at the end of each epoch."""

METRICS = ("val/loss", *(f"val/{name}" for name in SCALARS), *TRAIN_METRICS)
"""The metrics of a fit that can be monitored; a callback may log more."""

BINS = 15
"""Confidence bins of equal width, as in Guo et al. 2017 (https://arxiv.org/abs/1706.04599)."""

FEWEST_IMAGES = 100
"""Fewest validation images to fit a temperature on; with fewer, the result would be noise."""

HOTTEST = 20.0
"""Temperatures are searched from 1 / HOTTEST to HOTTEST; without bounds, none is best if every prediction is right."""


def direction(monitor: str) -> Literal["min", "max"]:
    """Return whether a smaller or a larger value of a metric is better, judged by its name."""
    return "min" if monitor.endswith(("loss", "error", "ece")) else "max"


def validated_in_epoch(trainer: Trainer) -> bool:
    """Check whether the current epoch has been validated, even if that was before an interruption.

    Lightning counts an epoch's validation batches, without its sanity check, and saves the count in each checkpoint.
    """
    return bool(trainer.fit_loop.epoch_loop.val_loop.batch_progress.total.ready)


class TrainingMetrics(Metric):
    """Mean loss and accuracy over the images of the current epoch so far. Updating never waits for a GPU."""

    full_state_update = False
    sums: Tensor
    """Over images: the sum of their losses, the number classified correctly, and their number (exact up to 2^24)."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(3), dist_reduce_fx="sum")

    def update(self, *sums: Tensor | float) -> None:
        """Add sums over images: the sum of their losses, the number classified correctly, and their number."""
        self.sums = self.sums.float()  # bf16-true makes it bf16, which cannot count to 300
        for place, value in enumerate(sums):
            self.sums[place] += value

    def compute(self) -> dict[str, Tensor]:
        """Return ``train/loss``, and ``train/accuracy`` as a fraction, over the images of all processes."""
        loss, right, images = self.sums
        return {"train/loss": loss / images, "train/accuracy": right / images}


class Evaluation(Metric):
    """Collects the logits of all images of a validation or test, and computes the metrics from them at its end."""

    full_state_update = False
    logits: list[Tensor]
    labels: list[Tensor]
    indices: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("logits", "labels", "indices"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Keep a batch: logits ``(B, 10)``, labels and indices ``(B,)``."""
        self.logits.append(logits.float())
        self.labels.append(labels)
        self.indices.append(indices)

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, labels and indices of the images of all processes, in any order."""
        return dim_zero_cat(self.logits), dim_zero_cat(self.labels), dim_zero_cat(self.indices)

    def results(self) -> dict[str, Tensor]:
        """Return the metrics, and the logits and labels that they come from, on the CPU; a collective call.

        Returns:
            ``loss``; ``accuracy`` and ``top5`` as fractions of images; ``precision``, ``recall`` and ``f1``
            ``(10,)``; ``confusion`` ``(10, 10)`` int64 with true classes as rows; ``logits`` ``(N, 10)``
            float32, ``labels`` and ``indices`` ``(N,)`` int64, in the order of the indices.
        """
        # torchmetrics squeezes the results of `compute`: the labels of a single image become a scalar.
        logits, labels, indices = self.compute()
        order = indices.view(-1).argsort()
        logits, labels, indices = (values[order].cpu() for values in (logits, labels.view(-1), indices.view(-1)))
        # In double precision, so that any number of processes gives the same bits. NaN becomes an infinite loss.
        loss = cross_entropy(logits.double(), labels).nan_to_num(nan=torch.inf, posinf=torch.inf).float()
        classes = logits.size(1)
        return {
            "loss": loss,
            "accuracy": multiclass_accuracy(logits, labels, classes, average="micro"),
            "top5": multiclass_accuracy(logits, labels, classes, top_k=min(5, classes), average="micro"),
            "precision": multiclass_precision(logits, labels, classes, average="none"),
            "recall": multiclass_recall(logits, labels, classes, average="none"),
            "f1": multiclass_f1_score(logits, labels, classes, average="none"),
            "confusion": multiclass_confusion_matrix(logits, labels, classes),
            "logits": logits,
            "labels": labels,
            "indices": indices,
        }


class Calibration(NamedTuple):
    """The differences between confidence and accuracy."""

    bins: list[tuple[int, float, float]]
    """From the lowest to the highest confidence: number of images, their mean confidence and their accuracy. Mean and
    accuracy are NaN without images. Confidence is the probability of the predicted class."""
    ece: float
    """The expected calibration error: the mean over all images of the difference in their bin."""
    loss: float
    """The mean cross-entropy, in nats."""


def calibration(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> Calibration:
    """Measure the calibration of logits ``(N, 10)``, divided by a temperature, with labels ``(N,)``."""
    scaled = logits.double() / temperature
    confidence, predicted = scaled.softmax(dim=1).max(dim=1)
    places = (confidence * BINS).ceil().long().clamp(1, BINS) - 1  # an edge belongs to the lower bin
    images = torch.bincount(places, minlength=BINS)
    mean_confidence, accuracy = (
        torch.bincount(places, values.double(), BINS) / images for values in (confidence, predicted == labels)
    )
    ece = (images * (mean_confidence - accuracy).abs()).nansum() / len(labels)
    bins = zip(images.tolist(), mean_confidence.tolist(), accuracy.tolist(), strict=True)
    return Calibration(list(bins), ece.item(), cross_entropy(scaled, labels).item())


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature with the least cross-entropy of logits ``(N, 10)`` and labels ``(N,)``.

    The cross-entropy is convex in the inverse temperature, so bisection finds the only zero of its derivative.
    """
    logits, low, high = logits.double(), 1 / HOTTEST, HOTTEST
    given = logits.gather(1, labels[:, None]).mean()
    for _ in range(60):
        middle = (low + high) / 2
        expected = ((middle * logits).softmax(dim=1) * logits).sum(dim=1).mean()
        low, high = (low, middle) if expected > given else (middle, high)
    return 2 / (low + high)


def is_at_an_end(temperature: float) -> bool:
    """Check whether a fitted temperature lies at an end of the searched range; then no temperature is best."""
    return not 1 / HOTTEST * 1.01 < temperature < HOTTEST / 1.01


def find_limits(logits: Tensor, labels: Tensor) -> Limits:
    """Find the thresholds for likely classes, from validation logits ``(N, 10)`` and labels ``(N,)``."""
    true = logits.double().softmax(dim=1).gather(1, labels[:, None])[:, 0].nan_to_num().sort().values
    largest = logits.max(dim=1).values.nan_to_num(nan=-1e4).clamp(-1e4, 1e4).sort().values
    # Rounded down, as a lower threshold makes more classes likely; 1 - 0.9 is slightly below 0.1.
    place = int((len(true) + 1) * (1 - COVERAGE) + 1e-9)
    return Limits(true[place - 1].item() if place else 0.0, largest[int(len(true) * (1 - BELIEVED))].item())


def likely(logits: Tensor, limits: Limits) -> Tensor:
    """Return which classes are likely, ``(N, 10)`` bool: the most probable one and perhaps others, or none."""
    probabilities, best = logits.softmax(dim=1), logits.max(dim=1, keepdim=True).values
    return ((probabilities >= limits.probability) | (logits == best)) & (best >= limits.logit)
