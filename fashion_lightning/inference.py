"""Use a trained classifier from Python."""

from pathlib import Path
from typing import Any

from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import find_checkpoint
from fashion_lightning.runs.trusted_classes import only_trusted_classes


def load_classifier(path: str | Path, trusted: str = "") -> FashionMNISTClassifier:
    """Rebuild a trained classifier from a run folder (its best checkpoint) or a checkpoint file.

    Args:
        path: run folder or checkpoint file.
        trusted: import paths of classes that the checkpoint may name beside those of this package and of
            torch, such as a network of your own; they are imported.

    Returns:
        The classifier in evaluation mode, on the CPU.

    Raises:
        UserError: there is no checkpoint at ``path``, or it cannot be used.
    """
    checkpoint = find_checkpoint(str(path), wanted="best")
    load = FashionMNISTClassifier.load_from_checkpoint
    with only_trusted_classes(checkpoint, vouched=trusted):
        try:
            return load(checkpoint.path, map_location="cpu", weights_only=True).eval()
        except (Exception, SystemExit) as error:  # jsonargparse ends the process on settings that it refuses
            raise UserError(f"{checkpoint.path} cannot be rebuilt: {error.__context__ or error}") from error


def classify(path: str | Path, images: Any) -> tuple[list[str], Tensor]:
    """Load a classifier and name what images show, in one call.

    Args:
        path: run folder or checkpoint file.
        images: tensor or array ``(B, 28, 28)`` or ``(B, 1, 28, 28)``, uint8, bright on black.

    Returns:
        Class names, and probabilities ``(B, 10)`` in the order of ``CLASS_NAMES``.
    """
    return load_classifier(path).classify(images)
