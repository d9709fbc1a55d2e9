"""Images in memory, a batch by indexing, and the order in which they are shown."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from fashion_lightning.data.seeding import generator

EVAL_BATCH_SIZE = 200
"""Images classified at once, in evaluation and prediction as in ``classify``. On one thread of a CPU, a thousand at
once take 1.2 (bf16) to 1.5 (fp32) times the time where freed memory goes back to the system, and 6 % less where it is
kept (cli/process.py)."""


class Batch(NamedTuple):
    """A batch, as every loader yields it."""

    images: Tensor
    """``(B, 1, 28, 28)`` uint8, 0 is the black background; of your own pictures in their size and channels."""
    labels: Tensor
    """``(B,)`` int64, 0 … 9; -1 where no label is known."""
    indices: Tensor
    """``(B,)`` int64, the place of each image in its file."""


class ImagesInMemory(Dataset[Batch]):
    """A data set that is indexed by a whole batch at once.

    Args:
        images: ``(N, channels, size, size)`` uint8.
        labels: ``(N,)`` int64.
        indices: which of them belong to this data set, ``(M,)`` int64; all by default.
    """

    def __init__(self, images: Tensor, labels: Tensor, indices: Tensor | None = None) -> None:
        self.images, self.labels = images, labels
        self.indices = torch.arange(len(images)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, positions: Tensor) -> Batch:
        """The images at these ``(B,)`` positions of the data set."""
        indices = self.indices[positions]
        return Batch(self.images[indices], self.labels[indices], indices)


class InOrder(DistributedSampler[Tensor]):
    """Every position once, in order, ``batch_size`` at a time: for validation, test and prediction.

    Each of several processes takes every ``world_size``-th image, in as many batches as the others, because they wait
    for one another in each batch. Pads nothing: padding would count some images twice (Lightning issue 3325).
    Subclasses DistributedSampler so that Lightning does not wrap it in its own, which pads.
    """

    def __init__(self, length: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(range(length), num_replicas=world_size, rank=rank)  # type: ignore[arg-type]
        self.positions = torch.arange(rank, length, world_size)
        self.batch_size = batch_size
        self.batches = -(-len(range(0, length, world_size)) // batch_size)  # of the largest share, the first one

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Tensor]:
        parts = list(torch.split(self.positions, self.batch_size))
        if len(parts) < self.batches:  # a share that is smaller by an image, and without it a whole number of batches
            parts[-1:] = torch.tensor_split(parts[-1], 2)
        yield from parts


class Shuffled(DistributedSampler[Tensor]):
    """A new order each epoch, as a function of (seed, epoch), that can start in mid-epoch.

    Several processes share the images of each step, so that any number of them shows the same images in the same
    steps, if their batches add up to the same size. In the last step, some processes may get one image more than
    others. Leaves out a last batch of one image: batch normalization cannot train on it.

    Args:
        length: images in an epoch.
        batch_size: images in a batch of this process.
        seed: of the run.
        rank, world_size: this process and how many there are.
    """

    def __init__(self, length: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(range(length), num_replicas=world_size, rank=rank)  # type: ignore[arg-type]
        self.length, self.batch_size, self.seed, self.world_size = length, batch_size, seed, world_size
        self.start_at(epoch=0, first_batch=0)

    def start_at(self, epoch: int, first_batch: int) -> None:
        """Start in mid-epoch, after ``first_batch`` batches of ``epoch``."""
        self.epoch, self.first_batch = epoch, first_batch

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch; another epoch starts at its first batch."""
        if epoch != self.epoch:
            self.start_at(epoch, first_batch=0)

    def __len__(self) -> int:
        share = self.length // self.world_size  # the smallest
        return share // self.batch_size + (share % self.batch_size > 1)

    def __iter__(self) -> Iterator[Tensor]:
        # Nothing is read before the first batch is asked for: a resumed trainer sets the epoch only after iter().
        steps = torch.split(self.order(generator(self.seed, "order", self.epoch)), self.batch_size * self.world_size)
        for images in steps[self.first_batch : len(self)]:
            yield images[self.rank :: self.world_size]

    def order(self, draws: torch.Generator) -> Tensor:
        """Return the positions ``(length,)`` that an epoch shows, drawn from ``draws``."""
        return torch.randperm(self.length, generator=draws)

    def images_in_step(self, batch_idx: int) -> int:
        """Return the number of images of this batch in all processes together."""
        in_all = self.batch_size * self.world_size
        return min(in_all, self.length - batch_idx * in_all)


class Balanced(Shuffled):
    """An order that shows each class equally often (±1), in an epoch as long as without.

    An image of a rare class is shown several times; how many is drawn, and may be none. ``labels`` are those of the
    positions, ``(N,)`` int64; the other arguments are those of ``Shuffled``.
    """

    def __init__(self, labels: Tensor, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(len(labels), batch_size, seed, rank, world_size)
        self.classes = [torch.nonzero(labels == cls).flatten() for cls in torch.unique(labels)]

    def order(self, draws: torch.Generator) -> Tensor:
        share = -(-self.length // len(self.classes))
        shown = []
        for places in self.classes:  # as many copies of each as it takes, of which a share is drawn
            copies = len(places) * -(-share // len(places))
            shown.append(places[torch.randperm(copies, generator=draws)[:share] % len(places)])
        in_turn = torch.stack(shown, dim=1).flatten()[: self.length]  # what is cut off is one image of a class at most
        return in_turn[torch.randperm(self.length, generator=draws)]


def channels_first(pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Make images ``(N, channels, H, W)`` of pictures ``(H, W)`` or ``(H, W, 3)``."""
    stacked = torch.from_numpy(np.stack(pixels))
    return stacked.view(*stacked.shape[:3], -1).movedim(-1, 1).contiguous()


def batch_loader(dataset: ImagesInMemory, sampler: Sampler[Tensor]) -> DataLoader[Batch]:
    """Build a loader of whole batches: the sampler yields positions, the data set forms the batch."""
    return DataLoader(dataset, sampler=sampler, batch_size=None)
