"""Use a trained classifier from Python."""

from pathlib import Path
from typing import Any

from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import find_checkpoint
from fashion_lightning.runs.checkpoint_settings import config_to_use, import_paths, network_spec
from fashion_lightning.runs.find import find_run
from fashion_lightning.runs.folder import LOGS, lies_in
from fashion_lightning.runs.own_modules import look_in_working_folder


def load_classifier(path: str | Path, trusted: str = "") -> FashionMNISTClassifier:
    """Rebuild a trained classifier from a run folder (its best checkpoint) or a checkpoint file.

    Of the checkpoint's config, the network and the test-time augmentation are taken, nothing else.

    Args:
        path: run folder, a recipe's or a run's name for its newest run, or checkpoint file.
        trusted: import paths, with spaces between them, of classes that the checkpoint may name beside those of this
            package and of torch's layers, such as a network of your own; they are imported.

    Returns:
        The classifier in evaluation mode, on the CPU.

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


def classify(path: str | Path, images: Any) -> tuple[list[str], Tensor]:
    """Load a classifier and name what images show, in one call.

    Args:
        path: run folder, a recipe's or a run's name for its newest run, or checkpoint file.
        images: one or many, bright on black: tensor, array or nested lists ``(28, 28)``, ``(1, 28, 28)``,
            ``(B, 28, 28)`` or ``(B, 1, 28, 28)``, uint8 or floats in [0, 1]; PIL images.

    Returns:
        Class names, and probabilities ``(B, 10)`` in the order of ``CLASS_NAMES``; of one image, B is 1.
    """
    return load_classifier(path).classify(images)
