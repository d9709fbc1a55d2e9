"""Use a trained classifier from Python."""

from pathlib import Path
from typing import Any

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.classes import Classification
from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import find_checkpoint
from fashion_lightning.runs.checkpoint_settings import config_to_use, import_paths, network_spec
from fashion_lightning.runs.find import find_run
from fashion_lightning.runs.folder import LOGS, lies_in
from fashion_lightning.runs.own_modules import look_in_working_folder


def load(path: str | Path, trusted: str = "") -> FashionMNISTClassifier:
    """Rebuild a trained classifier from a run or a checkpoint file.

    >>> classifier = fashion_lightning.load("cnn")
    >>> classifier.classify("shirt.jpg").probabilities.shape
    torch.Size([1, 10])

    Of the checkpoint's config, the network and the test-time augmentation are taken, nothing else.

    Args:
        path: run folder (its best checkpoint), a recipe's or a run's name for its newest run, or checkpoint file.
        trusted: import paths, with spaces between them, of classes that the checkpoint may name beside those of this
            package and of torch's layers, such as a network of your own; they are imported.

    Returns:
        The classifier in evaluation mode, on the CPU; ``.to("cuda")`` moves it, and ``.classify(images)`` uses it.

    Raises:
        UserError: there is no checkpoint at ``path``, or it cannot be used.
    """
    checkpoint = find_checkpoint(str(find_run(str(path))), wanted="best")
    is_own = checkpoint.run_dir is not None and lies_in(checkpoint.run_dir, [LOGS])
    config, _ = config_to_use(checkpoint, "test", is_own, named := set(trusted.split()))
    if is_own:  # its config.yaml is the user's
        named |= import_paths(config["model"])
    look_in_working_folder(named)
    try:
        spec = network_spec(config, named)
        classifier = FashionMNISTClassifier(spec.build(), tta=config["model"].get("tta", "none"))
        classifier.load_state_dict(checkpoint.content["state_dict"])
    except (Exception, SystemExit) as error:  # whatever a network of the user's raises; jsonargparse ends the process
        raise UserError(f"{checkpoint.path} cannot be used: {error.__context__ or error}") from error
    return classifier.eval()


load_classifier = load
"""Its name in version 0.1."""


def classify(path: str | Path, images: Any) -> Classification:
    """Load a classifier and name what images show, in one call.

    >>> names, probabilities = fashion_lightning.classify("cnn", images[:3])
    >>> probabilities.shape
    torch.Size([3, 10])
    >>> len(fashion_lightning.classify("cnn", ["shirt.jpg", "bag.png"]).names)
    2

    Args:
        path: as ``load`` takes it.
        images: as ``FashionMNISTClassifier.classify`` takes them: one or many, photographs among them.

    Returns:
        Class names, and probabilities ``(B, 10)`` in the order of ``CLASS_NAMES``; of one image, B is 1.

    Raises:
        UserError: there is no such checkpoint, or there are no such images.
    """
    return load(path).classify(images)
