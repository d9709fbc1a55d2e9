"""Use a trained classifier from Python."""

from pathlib import Path
from typing import Any

from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.runs import find_checkpoint


def load_classifier(path: str | Path) -> FashionMNISTClassifier:
    """Rebuild a trained classifier from a run folder (its best checkpoint) or a checkpoint file.

    Returns:
        The classifier in evaluation mode, on the CPU.

    Raises:
        UserError: there is no checkpoint at ``path``, or it cannot be used.
    """
    file = find_checkpoint(str(path), wanted="best").path
    return FashionMNISTClassifier.load_from_checkpoint(file, map_location="cpu", weights_only=True).eval()


def classify(path: str | Path, images: Any) -> tuple[list[str], Tensor]:
    """Load a classifier and name what images show, in one call.

    Args:
        path: run folder or checkpoint file.
        images: tensor or array ``(B, 28, 28)`` or ``(B, 1, 28, 28)``, uint8, bright on black.

    Returns:
        Class names, and probabilities ``(B, 10)`` in the order of ``CLASS_NAMES``.
    """
    return load_classifier(path).classify(images)
