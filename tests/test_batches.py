"""Batches by indexing, and orders that are a function of (seed, epoch)."""

import numpy as np
import pytest
import torch

from fashion_lightning.data.batches import Balanced, ImagesInMemory, InOrder, Shuffled, batch_loader, channels_first

DATASET = ImagesInMemory(
    torch.arange(103, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28), torch.arange(103) % 10
)


def test_a_loader_yields_whole_batches_that_know_their_images() -> None:
    batches = list(batch_loader(DATASET, InOrder(103, 50)))
    assert [len(batch.labels) for batch in batches] == [50, 50, 3]
    assert batches[1].images.shape == (50, 1, 28, 28)
    assert (batches[1].images[7, 0, 0, 0], batches[1].indices[7], batches[1].labels[7]) == (57, 57, 7)


def test_a_subset_is_indexed_by_position_and_reports_places_in_the_file() -> None:
    subset = ImagesInMemory(DATASET.images, DATASET.labels, torch.tensor([90, 7, 30]))
    assert subset[torch.tensor([2, 0])].indices.tolist() == [30, 90]


def test_each_epoch_shows_every_image_once_in_an_order_of_its_own() -> None:
    sampler = Shuffled(103, 50, seed=0)
    epochs = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        epochs.append(torch.cat(list(sampler)).tolist())
    assert sorted(epochs[0]) == list(range(103))
    assert epochs[0] != epochs[1]
    assert epochs[0] != torch.cat(list(Shuffled(103, 50, seed=1))).tolist()
    assert epochs[0] == torch.cat(list(Shuffled(103, 50, seed=0))).tolist()


def test_an_epoch_can_be_continued_in_the_middle_and_the_next_one_starts_at_its_beginning() -> None:
    whole, continued = Shuffled(103, 10, seed=0), Shuffled(103, 10, seed=0)
    continued.start_at(epoch=4, first_batch=7)
    whole.set_epoch(4)
    continued.set_epoch(4)
    assert [batch.tolist() for batch in continued] == [batch.tolist() for batch in whole][7:]
    continued.set_epoch(5)
    assert len(list(continued)) == len(continued) == 11


def test_a_last_batch_of_one_image_is_left_out_also_by_several_processes() -> None:
    assert [len(batch) for batch in Shuffled(101, 50, seed=0)] == [50, 50]
    assert len(Shuffled(101, 50, seed=0)) == 2
    assert [[len(batch) for batch in Shuffled(65, 10, 0, rank, 3)] for rank in range(3)] == [[10, 10]] * 3


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("length", [103, 101, 61, 60])
def test_several_processes_evaluate_every_image_exactly_once_in_equally_many_batches(
    length: int, world_size: int
) -> None:
    shares = [list(InOrder(length, 10, rank, world_size)) for rank in range(world_size)]
    assert sorted(torch.cat([batch for share in shares for batch in share]).tolist()) == list(range(length))
    assert {len(share) for share in shares} == {len(InOrder(length, 10, 0, world_size))}
    assert all(0 < len(batch) <= 10 for share in shares for batch in share)


@pytest.mark.parametrize("world_size", [2, 3])
def test_several_processes_train_on_the_images_that_one_would_train_on_in_each_step(world_size: int) -> None:
    alone = Shuffled(103, 12, seed=0)
    shares = [Shuffled(103, 12 // world_size, 0, rank, world_size) for rank in range(world_size)]
    for sampler in (alone, *shares):
        sampler.start_at(epoch=1, first_batch=2)
    steps = list(zip(alone, *shares, strict=True))
    assert len(steps) == 7
    for number, (images, *parts) in enumerate(steps, 2):
        assert alone.images_in_step(number) == shares[0].images_in_step(number) == len(images)
        dealt = torch.full_like(images, -1)
        for rank, part in enumerate(parts):
            dealt[rank::world_size] = part
        assert torch.equal(images, dealt)


def test_a_balanced_epoch_shows_each_class_equally_often_in_an_order_of_its_own() -> None:
    labels = torch.tensor([0] * 50 + [1] * 9 + [2] * 2)
    alone = Balanced(labels, 10, seed=0)
    shown = torch.cat(list(alone))
    assert len(shown) == 60  # less a last batch of one image
    assert torch.equal(shown, torch.cat(list(Balanced(labels, 10, seed=0))))
    assert not torch.equal(shown, torch.cat(list(Balanced(labels, 10, seed=1))))
    assert sorted(torch.bincount(labels[alone.order(torch.Generator())]).tolist()) == [20, 20, 21]
    assert torch.bincount(shown)[:50].max() == 1  # of a class with more images than its share, none twice
    shares = [list(Balanced(labels, 5, 0, rank, 2)) for rank in range(2)]
    for batch, pair in zip(alone, zip(*shares, strict=True), strict=True):
        assert sorted(batch.tolist()) == sorted(torch.cat(pair).tolist())


def test_pictures_become_images_with_their_channels_first() -> None:
    colours = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert channels_first([colours])[0, 2].tolist() == colours[..., 2].tolist()
    assert channels_first([colours[..., 0]]).shape == (1, 1, 2, 4)
