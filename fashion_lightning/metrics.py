"""What validation and test measure; every metric counts images, never means of batches."""

import warnings
from typing import Any, Literal

import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)
from torchmetrics.utilities import dim_zero_cat

SCALARS = ("accuracy", "top5")
"""The metrics with one value; the others have one per class, or a matrix ``(10, 10)``."""

TRAIN_METRICS = {"train_loss": "train/loss", "train_accuracy": "train/accuracy"}
"""The metrics of training as checkpoints name them, and the curves that they become at the end of each epoch."""

MONITORS = ("val/loss", *(f"val/{name}" for name in SCALARS), *TRAIN_METRICS.values())
"""What a checkpoint or early stopping can go by: logged in every epoch."""


def direction(monitor: str) -> Literal["min", "max"]:
    """Whether less or more of a metric is better; a setting of its own could only contradict it."""
    return "min" if monitor.endswith("loss") else "max"


def validated_in_epoch(trainer: Trainer) -> bool:
    """Whether a validation has run in the epoch that is being trained, be it before the run was interrupted.

    Lightning counts the batches, begins anew with each epoch (so that its sanity check is left out), and
    saves the count in each checkpoint.
    """
    batches: int = trainer.fit_loop.epoch_loop.val_loop.batch_progress.total.ready
    return batches > 0


class TrainingMetrics(nn.Module):
    """The mean loss and the accuracy of one epoch, over the images that were trained on so far.

    Args:
        num_classes: logits of each image.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.train_loss = MeanMetric(nan_strategy="ignore")  # StopWhenNotFinite looks for NaN
        self.train_accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)

    def reset(self) -> None:
        """Begin anew."""
        self.train_loss.reset()
        self.train_accuracy.reset()

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss, its logits ``(B, 10)`` and labels ``(B,)``."""
        self.train_loss.update(loss, len(labels))
        self.train_accuracy.update(logits, labels)

    def compute(self) -> dict[str, Tensor]:
        """``train/loss`` and ``train/accuracy``, the latter as a fraction of images."""
        with warnings.catch_warnings():  # "compute was called before update": in a checkpoint after the last batch
            warnings.filterwarnings("ignore", message="The ``compute`` method of metric")
            return {curve: getattr(self, name).compute() for name, curve in TRAIN_METRICS.items()}

    def counts(self) -> dict[str, dict[str, Any]]:
        """What was counted so far, for a checkpoint in the middle of an epoch."""
        return {name: getattr(self, name).metric_state for name in TRAIN_METRICS}

    def load_counts(self, counts: dict[str, dict[str, Any]], rank: int = 0) -> None:
        """Go on from what ``counts`` gave, or ``counts_of_all`` in the process of this rank."""
        for name, state in counts.items():
            metric = getattr(self, name)
            for key, value in state.items():
                of_several = value.dim() > getattr(metric, key).dim()
                setattr(metric, key, value[rank] if of_several else value)

    def counts_of_all(self) -> dict[str, dict[str, Any]]:
        """The same of all processes, with a dimension for them in front if there are several; all must ask for it."""
        counts = self.counts()
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return counts
        parts: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, counts)
        return {
            name: {key: torch.stack([part[name][key].cpu() for part in parts]) for key in state}
            for name, state in counts.items()
        }


class Outputs(Metric):
    """The logits of every image that was evaluated, in the order of their indices, of all processes."""

    logits: list[Tensor]
    labels: list[Tensor]
    indices: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for state in ("logits", "labels", "indices"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Keep a batch: logits ``(B, 10)``, labels and indices ``(B,)``."""
        self.logits.append(logits.float())
        self.labels.append(labels)
        self.indices.append(indices)

    def compute(self) -> dict[str, Tensor]:
        """``logits`` ``(N, 10)`` float32, ``labels`` and ``indices`` ``(N,)`` int64."""
        found = {name: dim_zero_cat(getattr(self, name)) for name in ("logits", "labels", "indices")}
        order = found["indices"].argsort()
        return {name: values[order] for name, values in found.items()}


class Evaluation(nn.Module):
    """The metrics of one evaluation, of validation or test images.

    Args:
        num_classes: logits of each image.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        metrics: dict[str, Metric | MetricCollection] = {
            "accuracy": MulticlassAccuracy(num_classes, average="micro", validate_args=False),
            "top5": MulticlassAccuracy(num_classes, top_k=5, average="micro", validate_args=False),
            "precision": MulticlassPrecision(num_classes, average="none", validate_args=False),
            "recall": MulticlassRecall(num_classes, average="none", validate_args=False),
            "f1": MulticlassF1Score(num_classes, average="none", validate_args=False),
            "confusion": MulticlassConfusionMatrix(num_classes, validate_args=False),
        }
        # By itself the collection would merge metrics whose first batch gives them equal counts, for good: top5 and
        # accuracy where a first batch is all right (torchmetrics 1.9, `_merge_compute_groups`).
        groups = [["accuracy"], ["top5"], ["precision", "recall", "f1"], ["confusion"]]
        self.metrics = MetricCollection(metrics, compute_groups=groups)
        self.outputs = Outputs()

    def reset(self) -> None:
        """Begin anew."""
        # A state made in inference mode, as `Trainer.validate` has it, could not be updated by a later fit.
        with torch.inference_mode(mode=False):
            self.metrics.reset()
            self.outputs.reset()

    def update(self, logits: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Count a batch: logits ``(B, 10)``, labels ``(B,)`` and the indices ``(B,)`` of the images."""
        self.metrics.update(logits, labels)
        self.outputs.update(logits, labels, indices)

    def compute(self) -> dict[str, Tensor]:
        """``loss``, and ``accuracy`` and ``top5`` as fractions of images; ``precision``, ``recall`` and ``f1``
        ``(10,)``; ``confusion`` ``(10, 10)`` int64 with true classes as rows; for pictures and reports, what
        ``Outputs`` kept of each image."""
        # torchmetrics squeezes what it computes, the labels of a single image too.
        outputs = {name: value.view(-1, *value.shape[1:]) for name, value in self.outputs.compute().items()}
        # Of all images in their order, in double precision: any number of processes comes to the same bits. On the CPU,
        # since not every device has that precision. A loss that is not a number counts as infinite.
        loss = cross_entropy(outputs["logits"].cpu().double(), outputs["labels"].cpu())
        loss = loss.nan_to_num(nan=torch.inf, posinf=torch.inf).float().to(outputs["logits"].device)
        return {"loss": loss, **self.metrics.compute(), **outputs}
