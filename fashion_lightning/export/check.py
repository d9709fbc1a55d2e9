"""Compare an exported file with its checkpoint, before the file is kept."""

from collections.abc import Callable

import torch
from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.batches import EVAL_BATCH_SIZE
from fashion_lightning.errors import UserError
from fashion_lightning.inference import classify

BATCHES = (1, 2, 7, EVAL_BATCH_SIZE)
"""Images in the first batches; a size that tracing has frozen shows at once."""

TOLERANCE = 1e-4
"""Of a probability. Sums in another order differ by about 1e-6."""


@torch.inference_mode()
def largest_difference(
    classifier: FashionMNISTClassifier, exported: Callable[[Tensor], Tensor], images: Tensor
) -> float:
    """Compare an exported file with the classifier that it was made of.

    Args:
        classifier: answers in float32.
        exported: images ``(B, 1, 28, 28)`` uint8 → probabilities ``(B, 10)``.
        images: ``(N, 1, 28, 28)`` uint8, at least ``sum(BATCHES)`` of them.

    Returns:
        The largest difference between two probabilities.

    Raises:
        UserError: a class is another, or a probability differs by more than ``TOLERANCE``.
    """
    _, expected = classify(classifier, images)
    first, others = images[: sum(BATCHES)], images[sum(BATCHES) :]
    answers = torch.cat(
        [exported(part) for part in (*torch.split(first, list(BATCHES)), *torch.split(others, EVAL_BATCH_SIZE))]
    )
    difference = (answers - expected).abs().max().item()
    changed = int((answers.argmax(dim=1) != expected.argmax(dim=1)).sum())
    if changed or not difference <= TOLERANCE:  # "not": of weights that are not finite
        raise UserError(
            f"The exported file does not say what the checkpoint says: {changed:,} of {len(images):,} images get"
            f" another class, and probabilities differ by up to {difference:.2g}. Nothing was written."
        )
    return difference
