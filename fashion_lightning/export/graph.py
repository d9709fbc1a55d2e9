"""Trace a classifier's graph for all formats, raw images → probabilities; compare exported files with it."""

import contextlib
import io
import itertools
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import cast

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.batches import EVAL_BATCH_SIZE
from fashion_lightning.data.classes import FASHION_MNIST
from fashion_lightning.data.tta import views
from fashion_lightning.errors import UserError, place_in_own_code
from fashion_lightning.inference import classify
from fashion_lightning.version import __version__


class Probabilities(nn.Module):
    """The network, with all that ``classify`` does before and after it.

    Args:
        classifier: in evaluation mode; its ``tta`` becomes part of the graph.
    """

    def __init__(self, classifier: FashionMNISTClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """``(B, channels, size, size)`` uint8 → probabilities ``(B, classes)`` float32."""
        # All views in one batch: with a pass for each, the graph would contain the network up to ten times.
        all_views = list(views(images, self.classifier.tta))
        logits = self.classifier(torch.cat(all_views))
        return cast(Tensor, logits.unflatten(0, (len(all_views), -1)).mean(dim=0).softmax(dim=1))


def trace(classifier: FashionMNISTClassifier) -> ExportedProgram:
    """Trace the graph of a classifier, for batches of any size."""
    # Saving channels_last weights gives a warning; convolutions reorder weights themselves.
    classifier.network.to(memory_format=torch.contiguous_format)
    module = Probabilities(classifier).requires_grad_(False)
    images = torch.zeros(2, *classifier.images.shape, dtype=torch.uint8)  # tracing would fix the size of a batch of one
    program = torch.export.export(module, (images,), dynamic_shapes=({0: Dim("batch")},))
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # contains paths of this machine
    return program


@contextlib.contextmanager
def exporting(classifier: FashionMNISTClassifier) -> Iterator[None]:
    """Turn any error of an export into one line, and hide the graphs that torch prints.

    Raises:
        UserError: the network cannot be exported: it branches on values, or the format lacks one of its operations.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    except UserError:
        raise
    except Exception as error:  # a user's network may raise anything
        cause = error.__cause__ if isinstance(error, torch.onnx.OnnxExporterError) and error.__cause__ else error
        network, reason = type(classifier.network).__name__, f"{type(cause).__name__}: {str(cause)[:300]}"
        raise UserError(f"Network {network} cannot be exported: {reason}{place_in_own_code(error)}") from error
    finally:
        logging.disable(disabled)


def metadata(classifier: FashionMNISTClassifier, recipe: str) -> dict[str, str]:
    """Return the metadata of an exported file."""
    shape = ", ".join(map(str, classifier.images.shape))
    look = ", bright on black, as in Fashion-MNIST" if classifier.images == FASHION_MNIST else ""
    return {
        "class_names": json.dumps(classifier.images.class_names),
        "images": json.dumps(asdict(classifier.images)),
        "limits": json.dumps(asdict(classifier.limits)),
        "recipe": recipe,
        "tta": classifier.tta,
        "fashion_lightning_version": __version__,
        "description": f"images: (batch, {shape}) uint8{look}."
        f" probabilities: (batch, {len(classifier.images.class_names)}) float32, in the order of class_names.",
    }


BATCHES = (1, 2, 7, EVAL_BATCH_SIZE)
"""Sizes of the first batches to compare; they reveal a batch size that tracing has fixed."""

TOLERANCE = 1e-4
"""Largest accepted difference of a probability. Sums in another order cause about 1e-6."""


@torch.inference_mode()
def largest_difference(
    classifier: FashionMNISTClassifier, exported: Callable[[Tensor], Tensor], images: Tensor
) -> float:
    """Compare an exported file with the classifier that it was made from.

    Args:
        classifier: computes in float32.
        exported: images ``(B, channels, size, size)`` uint8 → probabilities ``(B, classes)``.
        images: ``(N, channels, size, size)`` uint8.

    Returns:
        The largest difference between two probabilities.

    Raises:
        UserError: a predicted class differs, or a probability differs by more than ``TOLERANCE``.
    """
    _, expected = classify(classifier, images)
    parts = torch.tensor_split(images, list(itertools.accumulate(BATCHES)))
    batches = [batch for part in parts for batch in torch.split(part, EVAL_BATCH_SIZE) if len(batch)]
    answers = torch.cat([exported(batch) for batch in batches])
    difference = (answers - expected).abs().max().item()
    changed = int((answers.argmax(dim=1) != expected.argmax(dim=1)).sum())
    if changed or not difference <= TOLERANCE:  # also true if the difference is NaN
        raise UserError(
            f"The exported file does not give the checkpoint's answers: {changed:,} of {len(images):,} images get"
            f" another class, probabilities differ by up to {difference:.2g}. Nothing was written. Try another format."
        )
    return difference
