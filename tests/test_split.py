"""The validation images are always the same ones, in the classes' proportions."""

import hashlib

import torch

from fashion_lightning.data.split import stratified_order, train_val_indices

LABELS = torch.arange(60_000) * 7 % 10


def test_classes_are_equally_frequent_in_validation_and_in_a_limited_training_set() -> None:
    train, val = train_val_indices(LABELS, val_size=5000, train_size=20_000)
    assert torch.bincount(LABELS[val]).tolist() == [500] * 10
    assert torch.bincount(LABELS[train]).tolist() == [2000] * 10


def test_no_image_is_in_both_and_none_is_lost() -> None:
    train, val = train_val_indices(LABELS, val_size=5000)
    assert sorted(torch.cat([train, val]).tolist()) == list(range(60_000))
    small, _ = train_val_indices(LABELS, 5000, 1000)
    assert torch.equal(small, train[:1000])


def test_the_split_is_the_one_that_all_published_figures_use() -> None:
    torch.manual_seed(1)  # the run's seed changes nothing
    digest = hashlib.sha256(stratified_order(LABELS).numpy().tobytes()).hexdigest()
    assert digest[:16] == "337db66be0c26612"


def test_unequal_classes_keep_their_proportions() -> None:
    labels = torch.tensor([0] * 900 + [1] * 100)
    _, val = train_val_indices(labels, val_size=50)
    assert torch.bincount(labels[val]).tolist() == [45, 5]
