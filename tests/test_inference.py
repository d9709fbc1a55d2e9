"""A trained classifier in a notebook."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

import fashion_lightning
from fashion_lightning.data import source
from fashion_lightning.data.classes import CLASS_NAMES


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, fashion_lightning; dir(fashion_lightning); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_can_be_imported() -> None:
    for name in fashion_lightning.__all__:
        assert getattr(fashion_lightning, name) is not None


def test_one_call_loads_a_run_and_names_images(trained: Path, data: Path) -> None:
    images, _ = source.load("test", data)
    names, probabilities = fashion_lightning.classify(trained, images[:5])
    assert set(names) <= set(CLASS_NAMES)
    assert probabilities.shape == (5, 10)
    again, _ = fashion_lightning.classify(trained / "checkpoints/best.ckpt", images[:5].squeeze(1).numpy())
    assert again == names


def test_a_loaded_classifier_is_ready_to_use(trained: Path) -> None:
    classifier = fashion_lightning.load_classifier(trained)
    assert not classifier.training
    assert classifier.classify(np.zeros((1, 28, 28), np.uint8))[1].shape == (1, 10)


def test_lightnings_own_loading_works_on_a_checkpoint_alone(trained: Path) -> None:
    classifier = fashion_lightning.FashionMNISTClassifier.load_from_checkpoint(trained / "checkpoints/best.ckpt")
    weights = torch.load(trained / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, weights[name]) for name, value in classifier.state_dict().items())
