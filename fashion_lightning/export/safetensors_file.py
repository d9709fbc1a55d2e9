"""Weights and their card: the file to share, which every command takes in the place of a checkpoint."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fashion_lightning.errors import UserError
from fashion_lightning.runs.card import Card, card_of
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.runs.weights import SAFETENSORS, write_safetensors

if TYPE_CHECKING:
    from torch import Tensor


PACKAGES: tuple[str, ...] = ()
"""What must be installed beside this package."""


def write(checkpoint: Checkpoint, tta: str) -> bytes:
    """Return the content of the file.

    Raises:
        UserError: the network's arguments go beyond what a card may hold, or two layers share their weights.
    """
    model, data = checkpoint.config["model"], checkpoint.config["data"]
    card: Card | None = card_of({"model": {**model, "tta": tta}, "data": data}, checkpoint.name)
    if card is None:
        raise UserError("The network of this run has arguments that a .safetensors file cannot hold.")
    try:
        return write_safetensors(checkpoint.weights, card)
    except RuntimeError as error:
        raise UserError(f"The weights cannot be written to a .safetensors file: {error}") from error


def load(content: bytes, network: str = "") -> "Callable[[Tensor], Tensor]":
    """Return the function of a file's content, read back as every command reads it."""
    from fashion_lightning.inference import load as load_classifier

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"model{SAFETENSORS}")
        path.write_bytes(content)
        classifier = load_classifier(path, network)
    return lambda images: classifier.classify(images).probabilities
