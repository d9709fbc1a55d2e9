"""What TensorBoard shows beyond curves, read back from the event files."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format  # type: ignore[import-untyped]
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from torch import nn

from fashion_lightning.callbacks.plots.confusion import HIGH, LEFT, WIDE, matrix
from fashion_lightning.callbacks.plots.drawing import WIDTH, tiles
from fashion_lightning.callbacks.plots.embedding import last_dense_layer
from fashion_lightning.callbacks.plots.filters import first_filters
from fashion_lightning.callbacks.plots.reliability import BINS, diagram
from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from tests.conftest import Run
from tests.interruption import assert_same_state
from tests.test_tensorboard import raw_pictures

PROJECTOR = Path("plugins/org_tensorflow_tensorboard_projector")


def events_of(run: Path) -> EventAccumulator:
    events = EventAccumulator(str(run), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    return events


def picture(run: Path, name: str, step: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """A picture as TensorBoard shows it, ``(height, width, 3)``."""
    (found,) = [event for event in events_of(run).Images(f"pictures/{name}") if event.step == step]
    return np.asarray(Image.open(io.BytesIO(found.encoded_image_string)).convert("RGB"))


def test_each_validation_of_a_fit_is_drawn_at_the_step_of_its_curves(trained: Path) -> None:
    steps = raw_pictures(trained)
    for name in ("confusion matrix", "most confident mistakes", "reliability", "filters of the first layer"):
        assert steps[f"pictures/{name}"] == [9, 19], name
    for name in CLASS_NAMES:
        assert steps[f"precision and recall/{name.replace('/', ' or ')}"] == [9, 19], name
    assert steps["pictures/training images, as they are and augmented"] == [0]


def test_pictures_are_white_where_nothing_is_drawn_for_the_dark_theme_and_as_wide_as_each_other(trained: Path) -> None:
    tags = events_of(trained).Tags()["images"]
    assert len(tags) == 5
    for tag in tags:
        drawn = picture(trained, tag.removeprefix("pictures/"), 0 if "training" in tag else 19)
        assert drawn.shape[1] == WIDTH, tag
        assert (drawn == 255).all(axis=2).mean() > 0.1, tag


@pytest.mark.slow
def test_no_pictures_are_drawn_where_they_are_switched_off_nor_of_a_fast_dev_run_nor_in_test(
    cli: Run, recipe: Path
) -> None:
    cli("fit", "--config", recipe, "--trainer.max_epochs", "1", "--pictures", "false")
    run = Path("tensorboard_logs/tiny/version_0")
    cli("test", "--ckpt_path", run)
    cli("validate", "--ckpt_path", run)
    assert not any(tag.startswith(("pictures/", "precision")) for tag in raw_pictures(run))
    assert not (run / PROJECTOR).exists()
    cli("fit", "--config", recipe, "--trainer.fast_dev_run", "2")


def test_pictures_change_nothing_of_the_training(cli: Run, recipe: Path) -> None:
    dropout = ["--model.network", "tests.networks.WithDropout"]
    for pictures in ("true", "false"):
        cli("fit", "--config", recipe, *dropout, "--pictures", pictures)
    assert_same_state(*(Path(f"tensorboard_logs/tiny/version_{number}") for number in (0, 1)))


def test_training_images_are_drawn_beside_what_the_network_was_given_of_them(trained: Path, data: Path) -> None:
    """Of the first batch of the first epoch, by the same augmentation."""
    torch.manual_seed(0)
    datamodule = FashionMNISTDataModule(str(data), batch_size=50, val_size=100, flip="random", shift=1)
    datamodule.setup("fit")
    batch = next(iter(datamodule.train_dataloader()))
    augmented = datamodule.augment(batch.images, batch.indices, 0, 0)
    first = (batch.labels == 0).nonzero()[0, 0]
    pair = torch.cat([batch.images[first, 0], torch.full((28, 2), 255), augmented[first, 0]], dim=1).numpy()
    drawn = picture(trained, "training images, as they are and augmented", 0)
    cell = WIDTH // 5
    expected = tiles([[(pair.astype(np.uint8), CLASS_NAMES[0])] + [(np.full_like(pair, 255, np.uint8), "")] * 4])
    height = expected.shape[0] - 10
    assert (drawn[:height, :cell] == expected[:height, :cell]).all()


def test_the_confusion_matrix_has_true_classes_as_rows() -> None:
    shares = np.zeros((10, 10))
    shares[2, 7] = 100
    drawn = matrix(shares)
    dark = np.argwhere(drawn[: 10 * HIGH, LEFT:].sum(axis=2) < 250)
    assert {(row // HIGH, column // WIDE) for row, column in dark} == {(2, 7)}


def test_bars_of_the_reliability_diagram_are_as_high_as_their_shares() -> None:
    right = np.linspace(0, 1, BINS)
    drawn = diagram(right, np.full(BINS, 1 / BINS), "title")
    blue = (drawn == (0, 0x72, 0xB2)).all(axis=2)
    heights = [blue[:, column].sum() for column in np.linspace(120, 680, BINS).astype(int)[1:8]]
    assert heights == sorted(heights)
    assert heights[0] > 20


def test_precision_and_recall_of_each_class_are_those_of_the_validation_images(trained: Path) -> None:
    events = events_of(trained)
    for number in range(3):
        tag = f"precision and recall/{CLASS_NAMES[number].replace('/', ' or ')}"
        values = events.Tensors(tag)[-1].tensor_proto
        true_positives, _, _, false_negatives, precision, recall = np.reshape(values.float_val, (6, -1))
        assert true_positives[0] == 10  # of each class, when every image is taken for it
        assert (precision[0], recall[0]) == (pytest.approx(0.1), 1)
        assert false_negatives[0] == 0


def test_the_embedding_has_the_features_of_each_image_with_its_class_guess_and_thumbnail(trained: Path) -> None:
    folder = trained / PROJECTOR
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    features = np.fromfile(folder / embedding.tensor_path, np.float32).reshape(embedding.tensor_shape)
    assert features.shape == (100, 8)
    head, *lines = (folder / embedding.metadata_path).read_text().splitlines()
    assert head == "class\tguess\tprobability"
    assert sorted({line.split("\t")[0] for line in lines}) == sorted(CLASS_NAMES)
    # The features are those that the last layer makes its guess of.
    weights = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)["state_dict"]["network.head.weight"]
    guesses = (torch.from_numpy(features) @ weights.float().T).argmax(dim=1)
    assert [CLASS_NAMES[guess] for guess in guesses] == [line.split("\t")[1] for line in lines]
    with Image.open(folder / embedding.sprite.image_path) as sprite:
        assert sprite.size == (280, 280)
    assert {path.name for path in folder.iterdir()} == {
        "projector_config.pbtxt",
        embedding.tensor_path,
        embedding.metadata_path,
        embedding.sprite.image_path,
    }


@pytest.mark.parametrize(
    ("network", "filters", "embedded"),
    [
        (nn.Sequential(nn.Conv2d(1, 5, 3), nn.Flatten(), nn.LazyLinear(10)), (5, 3, 3), True),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 6), nn.Linear(6, 10)), (6, 28, 28), True),
        (nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 10, 28), nn.Flatten()), None, False),
        (nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, 10)), None, True),
    ],
    ids=["convolution", "dense", "no dense layer", "neither"],
)
def test_of_a_network_without_such_layers_there_are_no_filters_and_no_embedding(
    network: nn.Module, filters: tuple[int, ...] | None, embedded: bool
) -> None:
    found = first_filters(network)
    assert (tuple(found.shape) if found is not None else None) == filters
    assert (last_dense_layer(network) is not None) == embedded


def test_a_network_whose_last_dense_layer_is_called_twice_is_trained_without_an_embedding(
    cli: Run, recipe: Path
) -> None:
    network = ["--model.network", "tests.test_pictures.DenseTwice"]
    cli("fit", "--config", recipe, "--trainer.max_epochs", "1", *network, "--model.optimizer", "torch.optim.AdamW")
    run = Path("tensorboard_logs/tiny/version_0")
    assert raw_pictures(run)["pictures/reliability"] == [9]
    assert not (run / PROJECTOR).exists()


class DenseTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 784)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.dense(self.dense(images.flatten(1)))
        return features[:, :10]
