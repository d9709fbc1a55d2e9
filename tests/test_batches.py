"""Batches by indexing, and orders that are a function of (seed, epoch)."""

import pytest
import torch

from fashion_lightning.data.batches import ImagesInMemory, InOrder, Shuffled, batch_loader

DATASET = ImagesInMemory(
    torch.arange(103, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28), torch.arange(103) % 10
)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loader_yields_whole_batches_that_know_their_images(num_workers: int) -> None:
    batches = list(batch_loader(DATASET, InOrder(103, 50), num_workers))
    assert [len(batch.labels) for batch in batches] == [50, 50, 3]
    assert batches[1].images.shape == (50, 1, 28, 28)
    assert batches[1].images[7, 0, 0, 0] == 57
    assert batches[1].indices[7] == 57
    assert batches[1].labels[7] == 7


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
    assert len(list(continued)) == 11
    assert len(continued) == 11


def test_a_last_batch_of_one_image_is_left_out() -> None:
    assert [len(batch) for batch in Shuffled(101, 50, seed=0)] == [50, 50]
    assert len(Shuffled(101, 50, seed=0)) == 2


@pytest.mark.parametrize("world_size", [2, 3])
def test_several_processes_evaluate_every_image_exactly_once(world_size: int) -> None:
    shares = [torch.cat(list(InOrder(103, 10, rank, world_size))).tolist() for rank in range(world_size)]
    assert sorted(index for share in shares for index in share) == list(range(103))


def test_several_processes_train_on_disjoint_shares_of_equal_length() -> None:
    shares = [torch.cat(list(Shuffled(103, 10, 0, rank, 2))).tolist() for rank in range(2)]
    assert not set(shares[0]) & set(shares[1])
    assert len(shares[0]) == len(shares[1])
