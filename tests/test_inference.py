"""A trained classifier in a notebook."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fashion_lightning
from fashion_lightning import CNN, FashionMNISTClassifier
from fashion_lightning.data import source
from fashion_lightning.data.classes import CLASS_NAMES, Classification
from fashion_lightning.errors import UserError
from fashion_lightning.inference import TrainedClassifier
from fashion_lightning.photographs.files import read_picture
from tests.served import shirt


def test_importing_the_package_or_its_page_of_comparisons_does_not_import_torch() -> None:
    code = "import sys, fashion_lightning.report.comparison_page; dir(fashion_lightning)"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


def test_one_call_loads_a_run_and_names_images(trained: Path, data: Path) -> None:
    images, _ = source.load("test", data)
    names, probabilities = fashion_lightning.classify(trained, images[:5])
    assert set(names) <= set(CLASS_NAMES)
    assert probabilities.shape == (5, 10)
    again, _ = fashion_lightning.classify(trained / "checkpoints/best.ckpt", images[:5].squeeze(1).numpy())
    assert again == names
    assert not fashion_lightning.load(trained).training


def test_load_from_checkpoint_gives_weights_to_a_network(trained: Path) -> None:
    network = CNN(stem=4, widths=[4, 4, 8])
    classifier = FashionMNISTClassifier.load_from_checkpoint(trained / "checkpoints/best.ckpt", network=network)
    weights = torch.load(trained / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, weights[name]) for name, value in classifier.state_dict().items())
    torch.save({"state_dict": weights}, "pickle.ckpt", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"pickle.ckpt cannot be used: mmap can only be used with files saved"):
        FashionMNISTClassifier.load_from_checkpoint("pickle.ckpt", network=network)


IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8))
IMAGES[:, [0, 0, -1, -1], [0, -1, 0, -1]] = 0  # dark corners mark an image of the data set


@pytest.mark.parametrize(
    "form",
    [
        lambda images: images,
        lambda images: images.unsqueeze(1),
        lambda images: images.numpy(),
        lambda images: images.tolist(),
        lambda images: images.long(),
        lambda images: images.double() / 255,
        lambda images: list(images.unsqueeze(1)),
        lambda images: [image.numpy() for image in images],
        lambda images: [Image.fromarray(image.numpy()) for image in images],
        lambda images: [Image.fromarray(image.numpy()).convert("RGB") for image in images],
    ],
)
def test_images_may_come_in_any_form_one_as_well_as_many(form: Callable[[torch.Tensor], Any]) -> None:
    classifier = TrainedClassifier(CNN(stem=2, widths=[2])).eval()
    expected = classifier.classify(IMAGES)
    names, probabilities = classifier.classify(form(IMAGES))
    assert names == expected[0]
    assert torch.allclose(probabilities, expected[1], atol=1e-6)
    one = form(IMAGES[:1])
    for image in (one, one[0]):
        assert torch.allclose(classifier.classify(image)[1], expected[1][:1], atol=1e-6)


def test_photographs_are_prepared_as_predict_does_from_a_file_or_in_memory(tmp_path: Path) -> None:
    classifier = TrainedClassifier(CNN(stem=2, widths=[2])).eval()
    path = tmp_path / "photograph.png"
    shirt(400, 300).save(path)
    expected = classifier.classify(read_picture(path).pixels).probabilities
    for one in (path, str(path), shirt(400, 300), [path]):
        assert torch.equal(classifier.classify(one).probabilities, expected)
    mixed = classifier.classify([path, shirt(400, 300), IMAGES[0], IMAGES[0] / 255])
    assert torch.allclose(mixed.probabilities[:2], expected, atol=1e-6)
    assert torch.allclose(mixed.probabilities[2:], classifier.classify(IMAGES[0]).probabilities, atol=1e-6)


def test_what_is_classified_shows_itself_as_a_table_and_stays_a_pair() -> None:
    probabilities = torch.eye(10)[[8, 0] * 6] * 0.9 + 0.01
    names = ["Bag", "T-shirt/top"] * 6
    assert repr(Classification(names, probabilities)).startswith("Bag 91.0 %   ")
    assert tuple(Classification(names, probabilities)) == (names, probabilities)
    assert repr(Classification([], probabilities[:0])) == "no images"


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (torch.zeros(3, 3, 28, 28), r"shape \(3, 3, 28, 28\) cannot be classified: the shape must be \(28, 28\)"),
        (np.zeros((32, 32), np.uint8), r"shape \(32, 32\) .* give files or PIL images"),
        ([], r"shape \(0,\)"),
        (IMAGES.float(), r"Pixels of float32 from 0 to 255 .* floats in \[0, 1\]"),
        (IMAGES.float() / 127.5 - 1, "Pixels of float32 from -1 to 1 "),
        (torch.full((28, 28), torch.nan), "Pixels of float32 from nan to nan"),
        (IMAGES > 5, "Pixels of bool"),
        ((IMAGES > 5).long(), "Pixels of int64 from 0 to 1 "),
        (IMAGES.long() - 5, "Pixels of int64 from -5 to "),
        ("shirt.png", r"There is no image file shirt\.png"),
        (None, "NoneType cannot be classified"),
        ([[1, 2], [3]], "list cannot be classified"),
        ([torch.zeros(28, 28), torch.zeros(14, 14)], r"shape \(14, 14\)"),
        ([shirt(400, 300), "nowhere.jpg"], r"There is no image file nowhere\.jpg"),
    ],
)
def test_what_is_wrong_with_images_is_said(images: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        TrainedClassifier(CNN(stem=2, widths=[2])).classify(images)
