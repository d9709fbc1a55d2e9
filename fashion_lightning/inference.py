"""Use a trained classifier from Python."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.batches import EVAL_BATCH_SIZE
from fashion_lightning.data.classes import Classification, ImageSpec, likely_names
from fashion_lightning.errors import UserError
from fashion_lightning.metrics import likely
from fashion_lightning.networks.output import evaluating
from fashion_lightning.photographs.files import as_batch
from fashion_lightning.runs import card, folder, own_modules, weights
from fashion_lightning.runs.checkpoint import find_checkpoint


class TrainedClassifier(FashionMNISTClassifier):
    """A classifier with ``classify``, which takes images of any kind."""

    def classify(self, images: Any) -> Classification:
        """Classify images; see ``fashion_lightning.classify`` for the images and the result."""
        return classify(self, images)


def load(run: str | Path, network: str = "", runs: str | Path = folder.LOGS) -> TrainedClassifier:
    """Rebuild a trained classifier from a run, a checkpoint or a safetensors file.

    >>> classifier = fashion_lightning.load("cnn")
    >>> classifier.classify("shirt.jpg").probabilities.shape
    torch.Size([1, 10])

    Args:
        run: a run folder (its best checkpoint), a recipe's name or a run's ``--name`` (its newest run), or a file.
        network: import path of a network of your own that the file may use, such as ``my_module.MyNetwork``.
        runs: folder of all runs.

    Returns:
        The classifier in evaluation mode, on the CPU. Move it with ``.to("cuda")``; call ``.classify(images)``.

    Raises:
        UserError: there is no checkpoint at ``run``, or it cannot be used.
    """
    named = {network} if network else set()
    logs = Path(runs).expanduser()
    checkpoint = find_checkpoint(folder.find_run(str(run), logs), "best", logs, named)
    settings = checkpoint.config["model"]
    own_modules.look_in_working_folder(named | (own_modules.import_paths(settings) if checkpoint.is_own else set()))
    try:
        ours = settings["network"]["class_path"] in card.OURS
        with torch.device("meta" if ours else "cpu"):  # our networks take no memory until they get their weights
            built = build_network(settings["network"])
        weights.put_in(built, checkpoint.weights)
        images = ImageSpec.of(settings.get("images", {}))
        classifier = TrainedClassifier(built, tta=settings.get("tta", "none"), images=images)
        classifier.limits = checkpoint.limits
    except (Exception, SystemExit) as error:  # a user's network may raise anything; jsonargparse raises SystemExit
        raise UserError(f"{checkpoint.path} cannot be used: {error.__context__ or error}") from error
    return classifier.eval()


def build_network(network: dict[str, Any]) -> nn.Module:
    """Build the network that a trusted config names."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--network", type=nn.Module)
    config = parser.parse_object({"network": network})
    return parser.instantiate_classes(config)["network"]  # type: ignore[no-any-return]


@torch.inference_mode()
def classify(run: str | Path | FashionMNISTClassifier, images: Any) -> Classification:
    """Classify one or many images.

    >>> names, probabilities = fashion_lightning.classify("cnn", images[:3])
    >>> probabilities.shape
    torch.Size([3, 10])
    >>> len(fashion_lightning.classify("cnn", ["shirt.jpg", "bag.png"]).names)
    2

    Args:
        run: a classifier, or what ``load`` takes.
        images: paths of files, or PIL images of any size, prepared as in ``predict``; or raw images, bright
            on black: a tensor, array or nested lists ``(28, 28)``, ``(1, 28, 28)``, ``(B, 28, 28)`` or
            ``(B, 1, 28, 28)``, of integers from 0 to 255 or of floats from 0 to 1; or a list of any of these.

    Returns:
        A pair: the most probable class name of each image, and probabilities ``(B, 10)``, on the classifier's device
        and in the order of the pair's ``class_names``. For one image, B is 1. The pair's ``repr`` is a table.

    Raises:
        UserError: there is no such checkpoint, the images are of another kind, or a file cannot be read.
    """
    classifier = run if isinstance(run, FashionMNISTClassifier) else load(run)
    pixels = as_batch(images, classifier.images).to(classifier.device)
    with evaluating(classifier):
        parts = torch.split(pixels, EVAL_BATCH_SIZE)
        logits = torch.cat([classifier.augmented_logits(part) for part in parts])
    names, probabilities = classifier.images.class_names, logits.softmax(dim=1)
    found = Classification([names[cls] for cls in probabilities.argmax(dim=1).tolist()], probabilities)
    found.class_names = names
    rows = zip(probabilities.tolist(), likely(logits, classifier.limits).tolist(), strict=True)
    found.likely = [likely_names(row, which, names) for row, which in rows]
    return found
