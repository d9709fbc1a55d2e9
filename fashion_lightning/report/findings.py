"""What the report says of one evaluation of test images, as numbers."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fashion_lightning.calibration import FEWEST_IMAGES, Calibration, calibration, fit_temperature
from fashion_lightning.report.doubted_labels import doubted_labels
from fashion_lightning.report.intervals import Accuracy
from fashion_lightning.report.near_duplicates import NearDuplicate

Evaluation = dict[str, Tensor]
"""One of ``FashionMNISTClassifier.evaluations``."""


@dataclass(frozen=True)
class Findings:
    """The findings of one evaluation; ``None`` is what could not be found out."""

    evaluation: Evaluation
    predicted: Tensor
    """The class of the highest logit, ``(N,)`` int64."""
    accuracy: Accuracy
    calibration: Calibration
    temperature: float | None
    """Fitted on validation images."""
    scaled: Calibration | None
    """The calibration with that temperature."""
    duplicates: dict[int, NearDuplicate] | None
    """The near-duplicates among the images of the evaluation, by their index."""
    new: Accuracy | None
    """Accuracy on the images without a near-duplicate among the training images; ``None`` if there is none."""
    known: Accuracy | None
    """Accuracy on those with one."""
    doubted: tuple[Tensor, Tensor]
    """What ``doubted_labels`` returns."""

    def figures(self) -> dict[str, Any]:
        """Return the figures for the JSON, beside those of ``evaluation_metrics``."""
        found: dict[str, Any] = {"accuracy_interval": list(self.accuracy.interval), "ece": self.calibration.ece}
        if self.temperature is not None and self.scaled is not None:
            found |= {"temperature": self.temperature, "scaled_ece": self.scaled.ece, "scaled_loss": self.scaled.loss}
        if self.duplicates is not None:
            found["near_duplicates"] = len(self.duplicates)
            found["accuracy_without_near_duplicates"] = self.new.value if self.new else None
        return found


def find(
    evaluation: Evaluation, validation: Evaluation | None, duplicates: dict[int, NearDuplicate] | None
) -> Findings:
    """Compute what there is to say.

    Args:
        evaluation: of test images.
        validation: the same evaluation of the validation images.
        duplicates: of all test images.
    """
    logits, labels, indices = evaluation["logits"], evaluation["labels"], evaluation["indices"].tolist()
    predicted = logits.argmax(dim=1)
    right = predicted == labels
    temperature = scaled = new = known = None
    if validation is not None and len(validation["labels"]) >= FEWEST_IMAGES:
        temperature = fit_temperature(validation["logits"], validation["labels"])
        scaled = calibration(logits, labels, temperature)
    if duplicates is not None:
        duplicates = {index: duplicates[index] for index in indices if index in duplicates}
        is_known = torch.tensor([index in duplicates for index in indices])
        new, known = _accuracy(right[~is_known]), _accuracy(right[is_known])
    return Findings(
        evaluation,
        predicted,
        Accuracy(int(right.sum()), len(right)),
        calibration(logits, labels),
        temperature,
        scaled,
        duplicates,
        new,
        known,
        doubted_labels(logits.softmax(dim=1), labels),
    )


def _accuracy(right: Tensor) -> Accuracy | None:
    return Accuracy(int(right.sum()), len(right)) if len(right) else None
