"""What the report says of one evaluation of test images, as numbers."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fashion_lightning.report.accuracy import Accuracy
from fashion_lightning.report.calibration import Calibration, calibration, enough_for_temperature, fit_temperature
from fashion_lightning.report.doubted_labels import DoubtedLabels, doubted_labels
from fashion_lightning.report.near_duplicates import NearDuplicates

Evaluation = dict[str, Tensor]
"""One of ``FashionMNISTClassifier.evaluations``."""


@dataclass(frozen=True)
class Findings:
    """Of one evaluation; what could not be found out is ``None``."""

    evaluation: Evaluation
    predicted: Tensor
    """The class of the highest logit, ``(N,)`` int64."""
    accuracy: Accuracy
    calibration: Calibration
    temperature: float | None
    """Fitted on validation images."""
    scaled: Calibration | None
    """The calibration with that temperature."""
    duplicates: NearDuplicates | None
    new: Accuracy | None
    """Of the images without a near-duplicate among the training images; ``None`` also where there is no such image."""
    known: Accuracy | None
    """Of those with one."""
    doubted: DoubtedLabels

    def figures(self) -> dict[str, Any]:
        """For JSON, beside what ``evaluation_metrics`` gives."""
        found: dict[str, Any] = {"accuracy_interval": list(self.accuracy.interval), "ece": self.calibration.ece}
        if self.temperature is not None and self.scaled is not None:
            found |= {"temperature": self.temperature, "scaled_ece": self.scaled.ece, "scaled_loss": self.scaled.loss}
        if self.duplicates is not None:
            found["near_duplicates"] = int(self.duplicates.found.sum())
            found["accuracy_without_near_duplicates"] = self.new.value if self.new else None
        return found


def find(evaluation: Evaluation, validation: Evaluation | None, duplicates: NearDuplicates | None) -> Findings:
    """Compute what there is to say.

    Args:
        evaluation: of test images.
        validation: of validation images, in the same way.
        duplicates: of the test images, in the order of the evaluation.
    """
    logits, labels = evaluation["logits"], evaluation["labels"]
    predicted = logits.argmax(dim=1)
    right = predicted == labels
    temperature = scaled = new = known = None
    if validation is not None and enough_for_temperature(validation["labels"]):
        temperature = fit_temperature(validation["logits"], validation["labels"])
        scaled = calibration(logits, labels, temperature)
    if duplicates is not None:
        new, known = (_accuracy(right[part]) for part in (~duplicates.found, duplicates.found))
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
