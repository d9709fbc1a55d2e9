"""Use a trained classifier from Python."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.classes import Classification
from fashion_lightning.errors import UserError
from fashion_lightning.runs.card import OURS
from fashion_lightning.runs.checkpoint import find_checkpoint
from fashion_lightning.runs.find import find_run
from fashion_lightning.runs.own_modules import import_paths, look_in_working_folder
from fashion_lightning.runs.weights import put_in


def load(run: str | Path, network: str = "") -> FashionMNISTClassifier:
    """Rebuild a trained classifier from a run, a checkpoint or a safetensors file.

    >>> classifier = fashion_lightning.load("cnn")
    >>> classifier.classify("shirt.jpg").probabilities.shape
    torch.Size([1, 10])

    Args:
        run: run folder (its best checkpoint), the name of a recipe or run for its newest run, or a file.
        network: import path of a network of your own, ``my_module.MyNetwork``, that the file may name.

    Returns:
        The classifier in evaluation mode, on the CPU; ``.to("cuda")`` moves it, and ``.classify(images)`` uses it.

    Raises:
        UserError: there is no checkpoint at ``run``, or it cannot be used.
    """
    named = {network} if network else set()
    checkpoint = find_checkpoint(find_run(str(run)), "best", named=named)
    settings = checkpoint.config["model"]
    look_in_working_folder(named | (import_paths(settings) if checkpoint.is_own else set()))
    try:
        ours = settings["network"]["class_path"] in OURS
        with torch.device("meta" if ours else "cpu"):  # a network of this package gets no memory before its weights
            built = build_network(settings["network"])
        put_in(built, checkpoint.weights)
        classifier = FashionMNISTClassifier(built, tta=settings.get("tta", "none"))
    except (Exception, SystemExit) as error:  # whatever a user's network raises; jsonargparse ends the process
        raise UserError(f"{checkpoint.path} cannot be used: {error.__context__ or error}") from error
    return classifier.eval()


def build_network(network: dict[str, Any]) -> nn.Module:
    """Build the network of a config that the user trusts."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--network", type=nn.Module)
    config = parser.parse_object({"network": network})
    return parser.instantiate_classes(config)["network"]  # type: ignore[no-any-return]


def classify(run: str | Path | FashionMNISTClassifier, images: Any) -> Classification:
    """Name what images show.

    >>> names, probabilities = fashion_lightning.classify("cnn", images[:3])
    >>> probabilities.shape
    torch.Size([3, 10])
    >>> len(fashion_lightning.classify("cnn", ["shirt.jpg", "bag.png"]).names)
    2

    Args:
        run: a classifier, or what ``load`` takes.
        images: one or many, as ``FashionMNISTClassifier.classify`` takes them, photographs among them.

    Returns:
        Class names, and probabilities ``(B, 10)`` in the order of ``CLASS_NAMES``; for one image, B is 1.

    Raises:
        UserError: there is no such checkpoint, or there are no such images.
    """
    classifier = run if isinstance(run, FashionMNISTClassifier) else load(run)
    return classifier.classify(images)
