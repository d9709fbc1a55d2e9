"""Compute a report's results for one evaluation, with and without known near-duplicates.

About 5 % of Fashion-MNIST's test images are near-duplicates of a training image (about 6 % by another rule: Geier 2019,
https://arxiv.org/abs/1906.08255): they show the same product, perhaps in another size. A network may have memorized
them, so the accuracy on the other images says more about new images. ``benchmarks/near_duplicates.py`` made their list.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fashion_lightning.metrics import FEWEST_IMAGES, Calibration, calibration, fit_temperature
from fashion_lightning.report.intervals import Accuracy

FILE = Path(__file__).with_name("near_duplicates.csv")

LIMIT = 18.0
"""The largest root mean square difference between the pixels of two near-duplicates, in grey levels of 255."""

TEST_IMAGES = "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a"
"""SHA-256 of the pixels of the 10,000 test images that the list belongs to."""


def near_duplicates(images: Tensor) -> frozenset[int]:
    """Return the indices of the test images that have a near-duplicate.

    Args:
        images: all test images, ``(10000, 1, 28, 28)`` uint8; other images than Fashion-MNIST's give an empty set.
    """
    if hashlib.sha256(images.numpy().tobytes()).hexdigest() != TEST_IMAGES:
        return frozenset()
    with FILE.open(encoding="utf-8", newline="") as file:
        return frozenset(int(row["test_image"]) for row in csv.DictReader(file))


Evaluation = dict[str, Tensor]
"""One of ``FashionMNISTClassifier.evaluations``."""


def balanced_accuracy(evaluation: Evaluation) -> float:
    """Return the mean recall of the classes that have images; each class counts the same."""
    has_images = evaluation["confusion"].sum(dim=1) > 0
    return evaluation["recall"][has_images].double().mean().item()


@dataclass(frozen=True)
class Findings:
    """The findings of one evaluation; ``None`` if something could not be computed."""

    evaluation: Evaluation
    predicted: Tensor
    """The class of the highest logit, ``(N,)`` int64."""
    accuracy: Accuracy
    calibration: Calibration
    temperature: float | None
    """Fitted on validation images."""
    scaled: Calibration | None
    """The calibration with that temperature."""
    new: Accuracy | None
    """Accuracy on images without a near-duplicate in the training file."""
    known: Accuracy | None
    """Accuracy on images with one."""

    def figures(self) -> dict[str, Any]:
        """Return the numbers for the JSON, in addition to those of ``evaluation_metrics``."""
        found: dict[str, Any] = {"accuracy_interval": list(self.accuracy.interval), "ece": self.calibration.ece}
        if self.temperature is not None and self.scaled is not None:
            found |= {"temperature": self.temperature, "scaled_ece": self.scaled.ece, "scaled_loss": self.scaled.loss}
        if self.new is not None and self.known is not None:
            found["near_duplicates"] = self.known.images
            found["accuracy_without_near_duplicates"] = self.new.value
        return found


def find(evaluation: Evaluation, validation: Evaluation | None, duplicates: frozenset[int]) -> Findings:
    """Compute the findings on test images; fit the temperature on validation images.

    Args:
        evaluation, validation: the evaluations of the test and the validation images.
        duplicates: indices of the test images that have a near-duplicate.
    """
    logits, labels = evaluation["logits"], evaluation["labels"]
    predicted = logits.argmax(dim=1)
    right = predicted == labels
    temperature = scaled = new = known = None
    if validation is not None and len(validation["labels"]) >= FEWEST_IMAGES:
        temperature = fit_temperature(validation["logits"], validation["labels"])
        scaled = calibration(logits, labels, temperature)
    is_known = torch.tensor([index in duplicates for index in evaluation["indices"].tolist()])
    if is_known.any() and not is_known.all():
        new, known = _accuracy(right[~is_known]), _accuracy(right[is_known])
    measured = _accuracy(right), calibration(logits, labels)
    return Findings(evaluation, predicted, *measured, temperature, scaled, new, known)


def _accuracy(right: Tensor) -> Accuracy:
    return Accuracy(int(right.sum()), len(right))
