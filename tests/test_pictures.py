"""What TensorBoard shows beyond curves, read back from the event files."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from fashion_lightning.callbacks.plots import HIGHEST, WIDTH, confusion_matrix, first_filters
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.classes import CLASS_NAMES
from tests.conftest import Run
from tests.interruption import assert_same_state
from tests.test_tensorboard import raw_pictures

MODEL = FashionMNISTClassifier(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))


def pictures(run: Path) -> dict[str, list[tuple[int, Image.Image]]]:
    """Step and picture by tag."""
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    found = {tag: events.Images(tag) for tag in events.Tags()["images"]}
    return {
        tag: [(event.step, Image.open(io.BytesIO(event.encoded_image_string))) for event in of_tag]
        for tag, of_tag in found.items()
    }


@pytest.mark.slow
def test_pictures_change_nothing_of_the_training_and_can_be_switched_off(cli: Run, recipe: Path) -> None:
    dropout = ["--model.network", "tests.networks.WithDropout", "--trainer.max_epochs", "1"]
    for drawn in ("true", "false"):
        cli("fit", "--config", recipe, *dropout, "--pictures", drawn)
    runs = [Path(f"tensorboard_logs/tiny/version_{number}") for number in (0, 1)]
    assert_same_state(*runs)
    cli("test", "--ckpt_path", runs[1], "--pictures", "true")
    assert not any(tag.startswith(("pictures/", "precision")) for tag in raw_pictures(runs[1]))


def test_the_confusion_matrix_has_true_classes_as_rows() -> None:
    counts = torch.eye(10)
    counts[2, 7] = 3
    axes = confusion_matrix(MODEL, {"confusion": counts}).axes[0]
    shown = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert shown == {(cls, cls): "100" for cls in range(10)} | {(2, 2): "25.0", (2, 7): "75.0"}
    assert [label.get_text() for label in axes.get_yticklabels()] == list(CLASS_NAMES)


@pytest.mark.parametrize(
    ("network", "filters"),
    [
        (nn.Sequential(nn.Conv2d(1, 5, 3), nn.Flatten(), nn.LazyLinear(10)), (5, 3, 3)),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 6), nn.Linear(6, 10)), (6, 28, 28)),
        (nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 10, 28), nn.Flatten()), None),
        (nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, 10)), None),
    ],
    ids=["convolution", "dense", "no dense layer", "neither"],
)
def test_a_network_whose_first_layer_sees_no_pixels_has_no_filters(
    network: nn.Module, filters: tuple[int, ...] | None
) -> None:
    found = first_filters(network, 28)
    assert (tuple(found.shape) if found is not None else None) == filters


def test_each_validation_of_a_fit_is_drawn_at_the_step_of_its_curves(drawn: Path) -> None:
    found = pictures(drawn)
    steps = {tag.removeprefix("pictures/"): [step for step, _ in of_tag] for tag, of_tag in found.items()}
    names = ("confusion matrix", "most confident mistakes", "filters of the first layer")
    once = {"training images, as they are and augmented": [0]}
    assert steps == once | {name: [9, 19] for name in names}
    for *_, (_, picture) in found.values():
        # White where nothing is drawn: TensorBoard has a dark theme.
        assert (picture.width, picture.height <= HIGHEST) == (WIDTH, True)
        assert (np.asarray(picture.convert("RGB")) == 255).all(axis=2).mean() > 0.1


def test_precision_and_recall_of_each_class_are_those_of_the_validation_images(drawn: Path) -> None:
    events = EventAccumulator(str(drawn), size_guidance={"tensors": 0})
    events.Reload()
    for name in CLASS_NAMES:
        *_, last = curve = events.Tensors(f"precision and recall/{name.replace('/', ' or ')}")
        assert [event.step for event in curve] == [9, 19]
        _, _, _, _, precision, recall = np.reshape(last.tensor_proto.float_val, (6, -1))
        assert (precision[0], recall[0]) == (pytest.approx(0.1), 1)  # where every image is taken for the class
