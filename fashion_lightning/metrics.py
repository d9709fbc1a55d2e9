"""What validation and test measure; every figure counts images, never means of batches."""

from typing import Literal

from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

SCALARS = ("accuracy", "top5")
"""The metrics with one value; the others have one per class, or a matrix ``(10, 10)``."""

MONITORS = ("val/loss", *(f"val/{name}" for name in SCALARS), "train/loss", "train/accuracy")
"""What a checkpoint or early stopping can go by: logged in every epoch."""


def direction(monitor: str) -> Literal["min", "max"]:
    """Whether less or more of a metric is better; a setting of its own could only contradict it."""
    return "min" if monitor.endswith("loss") else "max"


def evaluation_metrics(num_classes: int = 10) -> MetricCollection:
    """Metrics of logits ``(B, 10)`` and labels ``(B,)``.

    ``accuracy`` and ``top5`` are fractions of images; ``precision``, ``recall`` and ``f1`` are
    ``(10,)``; ``confusion`` is ``(10, 10)`` int64 with true classes as rows.
    """

    metrics: dict[str, Metric | MetricCollection] = {
        "accuracy": MulticlassAccuracy(num_classes, average="micro", validate_args=False),
        "top5": MulticlassAccuracy(num_classes, top_k=5, average="micro", validate_args=False),
        "precision": MulticlassPrecision(num_classes, average="none", validate_args=False),
        "recall": MulticlassRecall(num_classes, average="none", validate_args=False),
        "f1": MulticlassF1Score(num_classes, average="none", validate_args=False),
        "confusion": MulticlassConfusionMatrix(num_classes, validate_args=False),
    }
    return MetricCollection(metrics)
