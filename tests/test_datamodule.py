"""The DataModule: settings, which files each stage opens, and the split, which is always the same."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from fashion_lightning import FashionMNISTClassifier, FashionMNISTDataModule
from fashion_lightning.data import source
from fashion_lightning.data.split import stratified_order, train_val_indices
from fashion_lightning.errors import UserError
from tests.conftest import quiet_trainer
from tests.networks import Linear


@pytest.mark.parametrize(("val_size", "expected"), [(100, 100), (0.2, 120)])
def test_validation_takes_a_number_or_a_fraction_of_the_training_images(
    data: Path, val_size: int | float, expected: int
) -> None:
    datamodule = FashionMNISTDataModule(str(data), val_size=val_size)
    datamodule.setup("fit")
    assert (len(datamodule.val_set), len(datamodule.train_set)) == (expected, 600 - expected)


def test_the_number_of_training_images_can_be_limited(data: Path) -> None:
    datamodule = FashionMNISTDataModule(str(data), val_size=100, train_size=200, batch_size=50)
    datamodule.setup("fit")
    labels = torch.cat([batch.labels for batch in datamodule.train_dataloader()])
    assert torch.bincount(labels).tolist() == [20] * 10


def test_fit_and_validate_never_open_the_test_files(data: Path, tmp_path: Path) -> None:
    for name in source.FILES["train"]:
        (tmp_path / f"{name}.gz").write_bytes((data / f"{name}.gz").read_bytes())
    for name in source.FILES["test"]:
        (tmp_path / f"{name}.gz").write_bytes(b"reading this would fail")
    datamodule = FashionMNISTDataModule(str(tmp_path), val_size=100)
    datamodule.prepare_data()
    for stage in ("fit", "validate"):
        datamodule.setup(stage)
    with pytest.raises(UserError, match="does not hold all of Fashion-MNIST's files"):
        datamodule.setup("test")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "data.batch_size must be at least 1 and below inf, not 0"),
        ({"shift": -1}, "data.shift must be at least 0"),
        ({"cutout": 40}, "data.cutout must be at least 0 and below 29, not 40"),
        ({"prune": 0.8}, "data.prune must be at least 0 and below 0.7, not 0.8"),
        ({"val_size": -1}, "data.val_size is -1"),
        ({"fold": "4/3"}, "data.fold is 4/3: give the number of a fold and the number of folds, such as 2/5"),
        ({"fold": "1/1"}, "data.fold is 1/1"),
        ({"fold": "1/01"}, "data.fold is 1/01"),
        ({"val_size": 600}, "data.val_size is 600"),
        ({"val_size": 1.5}, "data.val_size is 1.5"),
        ({"val_size": 100, "train_size": 501}, "only 500 images are left"),
    ],
)
def test_impossible_settings_say_what_is_possible(data: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        FashionMNISTDataModule(str(data), **settings).setup("fit")


def test_each_image_is_validated_in_one_fold_and_trained_on_in_the_others(data: Path) -> None:
    folds = [FashionMNISTDataModule(str(data), fold=f"{number}/7") for number in range(1, 8)]
    for fold in folds:
        fold.setup("fit")
        assert sorted(torch.cat([fold.train_set.indices, fold.val_set.indices]).tolist()) == list(range(600))
    assert sorted(torch.cat([fold.val_set.indices for fold in folds]).tolist()) == list(range(600))


def test_a_trainer_that_takes_the_batches_apart_is_refused(data: Path) -> None:
    datamodule = FashionMNISTDataModule(str(data), val_size=100)
    trainer = quiet_trainer(overfit_batches=2, limit_val_batches=0, max_epochs=1)
    with pytest.raises(UserError, match="give the DataModule a small train_size"):
        trainer.fit(FashionMNISTClassifier(Linear()), datamodule)


def test_no_checkpoint_says_where_the_data_lie(tmp_path: Path) -> None:
    torch.save({"datamodule_hyper_parameters": {"root": str(tmp_path)}}, tmp_path / "any.ckpt")
    with pytest.raises(UserError, match="build a FashionMNISTDataModule yourself"):
        FashionMNISTDataModule.load_from_checkpoint(tmp_path / "any.ckpt")


LABELS = torch.arange(60_000) * 7 % 10


def test_no_image_is_in_both_none_is_lost_and_classes_are_equally_frequent_also_in_a_limited_training_set() -> None:
    train, val = train_val_indices(LABELS, val_size=5000)
    assert sorted(torch.cat([train, val]).tolist()) == list(range(60_000))
    small, same = train_val_indices(LABELS, 5000, 20_000)
    assert torch.equal(torch.cat([small, same]), torch.cat([train[:20_000], val]))
    assert torch.bincount(LABELS[val]).tolist() == [500] * 10
    assert torch.bincount(LABELS[small]).tolist() == [2000] * 10


def test_the_split_is_the_one_that_all_published_figures_use() -> None:
    torch.manual_seed(1)  # the run's seed changes nothing
    digest = hashlib.sha256(stratified_order(LABELS).numpy().tobytes()).hexdigest()
    assert digest[:16] == "337db66be0c26612"


def test_unequal_classes_keep_their_proportions() -> None:
    labels = torch.tensor([0] * 900 + [1] * 100)
    _, val = train_val_indices(labels, val_size=50)
    assert torch.bincount(labels[val]).tolist() == [45, 5]
