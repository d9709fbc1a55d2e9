"""Keep images in memory, index a whole batch at once, and choose the order of the images."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from fashion_lightning.data.seeding import generator

EVAL_BATCH_SIZE = 200
"""Images in a batch of evaluation, prediction and ``classify``. Batches of 1,000 are slower in scripts, where the
allocator returns freed memory to the system; in our commands, ``cli/process.py`` makes it keep that memory."""


class Batch(NamedTuple):
    """A batch, as all loaders yield it."""

    images: Tensor
    """``(B, 1, 28, 28)`` uint8, 0 is the black background; your own pictures have their own size and channels."""
    labels: Tensor
    """``(B,)`` int64, 0 … 9; -1 if the label is unknown. If there are more images than labels, the last images show
    none of the classes."""
    indices: Tensor
    """``(B,)`` int64, each labelled image's position in its file, or among the rendered validation images."""


class ImagesInMemory(Dataset[Batch]):
    """A data set that is indexed with a whole batch of positions.

    Args:
        images: ``(N, channels, size, size)`` uint8.
        labels: ``(N,)`` int64.
        indices: ``(M,)`` int64, the images that belong to this data set; all by default.
    """

    def __init__(self, images: Tensor, labels: Tensor, indices: Tensor | None = None) -> None:
        self.images, self.labels = images, labels
        self.indices = torch.arange(len(images)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, positions: Tensor) -> Batch:
        """Return the images at these ``(B,)`` positions of the data set."""
        indices = self.indices[positions]
        return Batch(self.images[indices], self.labels[indices], indices)


class InOrder(DistributedSampler[Tensor]):
    """Yields every position once, in order, ``batch_size`` at a time: for validation, test and prediction.

    Each process takes every ``world_size``-th image, and all have the same number of batches, because they wait for one
    another in each batch. Does not pad, which would count some images twice (Lightning issue 3325).
    Subclasses DistributedSampler so that Lightning does not wrap it in its own, which pads.
    """

    def __init__(self, length: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(range(length), num_replicas=world_size, rank=rank)  # type: ignore[arg-type]
        self.positions = torch.arange(rank, length, world_size)
        self.batch_size = batch_size
        self.batches = -(-len(range(0, length, world_size)) // batch_size)  # of rank 0, which has the most images

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Tensor]:
        parts = list(torch.split(self.positions, self.batch_size))
        if len(parts) < self.batches:  # one image fewer than rank 0, and so one batch fewer
            parts[-1:] = torch.tensor_split(parts[-1], 2)
        yield from parts


class Shuffled(DistributedSampler[Tensor]):
    """Yields a new order each epoch, a function of (seed, epoch); can start in mid-epoch.

    Processes share the images of each step: any number of processes trains on the same images in the same steps, if
    their batches add up to the same size. In the last step, some processes may get one image more than others. Drops a
    last batch of one image, because batch normalization cannot train on it.

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
        """Start a new epoch at its first batch; Lightning calls this before each epoch."""
        if epoch != self.epoch:
            self.start_at(epoch, first_batch=0)

    def __len__(self) -> int:
        share = self.length // self.world_size  # of the process with the fewest images
        return share // self.batch_size + (share % self.batch_size > 1)

    def __iter__(self) -> Iterator[Tensor]:
        # A generator runs only when the first batch is requested: a resumed trainer sets the epoch after iter().
        steps = torch.split(self.order(generator(self.seed, "order", self.epoch)), self.batch_size * self.world_size)
        for images in steps[self.first_batch : len(self)]:
            yield images[self.rank :: self.world_size]

    def order(self, draws: torch.Generator) -> Tensor:
        """Return the positions ``(length,)`` of an epoch in their order, drawn from ``draws``."""
        return torch.randperm(self.length, generator=draws)

    def images_in_step(self, batch_idx: int) -> int:
        """Return the number of images in this step, over all processes."""
        in_all = self.batch_size * self.world_size
        return min(in_all, self.length - batch_idx * in_all)


class Balanced(Shuffled):
    """Yields an order with each class equally often (±1); an epoch has as many images as without balancing.

    Draws how often it shows each image: several times in a rare class, perhaps never in a frequent one. ``labels``
    belong to the positions, ``(N,)`` int64; the other arguments are those of ``Shuffled``.
    """

    def __init__(self, labels: Tensor, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(len(labels), batch_size, seed, rank, world_size)
        self.classes = [torch.nonzero(labels == cls).flatten() for cls in torch.unique(labels)]

    def order(self, draws: torch.Generator) -> Tensor:
        share = -(-self.length // len(self.classes))
        shown = []
        for places in self.classes:  # draw a share from enough copies of the class
            copies = len(places) * -(-share // len(places))
            shown.append(places[torch.randperm(copies, generator=draws)[:share] % len(places)])
        in_turn = torch.stack(shown, dim=1).flatten()[: self.length]  # cuts off at most one image of a class
        return in_turn[torch.randperm(self.length, generator=draws)]


def channels_first(pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Stack pictures ``(H, W)`` or ``(H, W, 3)`` into images ``(N, channels, H, W)``."""
    stacked = torch.from_numpy(np.stack(pixels))
    return stacked.view(*stacked.shape[:3], -1).movedim(-1, 1).contiguous()


def batch_loader(dataset: ImagesInMemory, sampler: Sampler[Tensor]) -> DataLoader[Batch]:
    """Build a loader: the sampler yields the positions of a batch, and the data set returns the batch."""
    return DataLoader(dataset, sampler=sampler, batch_size=None)
