"""The LightningDataModule: files → fixed split → batches of uint8 images."""

import math
from pathlib import Path
from typing import Any, Literal, NoReturn

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from fashion_lightning.data import own_pictures, source
from fashion_lightning.data.augment import Augment, Flip, Part
from fashion_lightning.data.batches import (
    EVAL_BATCH_SIZE,
    Balanced,
    Batch,
    ImagesInMemory,
    InOrder,
    Shuffled,
    batch_loader,
)
from fashion_lightning.data.classes import FASHION_MNIST, rendered
from fashion_lightning.data.pruning import EASIEST, ImageLosses, Pruned
from fashion_lightning.data.renderings import Draws, catalogue, render, render_step
from fashion_lightning.data.seeding import generator, run_seed
from fashion_lightning.data.split import fold_bounds, stratified_order, train_val_indices
from fashion_lightning.errors import UserError


def default_val_size(folder: str | None) -> int | float:
    """Return the default ``val_size``: a number, or for your own pictures a fraction."""
    return 5000 if folder is None else 0.15


class FashionMNISTDataModule(LightningDataModule):
    """Fashion-MNIST (https://arxiv.org/abs/1708.07747), or your own pictures, in memory.

    A fixed stratified split divides the 60,000 training images into training and validation images.
    The 10,000 test images are opened only by ``test`` and ``predict``.

    Args:
        root: folder of Fashion-MNIST's four files, or an empty one to fetch them into. By default ``data`` in the
            working folder if the files are there, else ``$TORCH_HOME/datasets``, which all runs of a user share;
            ``TORCH_HOME`` is ``~/.cache/torch`` unless it is set.
        folder: your own pictures instead: a folder for each class, optionally within ``train``, ``val`` and ``test``
            folders; or IDX files of MNIST's layout.
        size: pixels of each edge that your pictures are reduced to, 8 to 128; by default 28, or IDX files' own.
        channels: of your pictures: 1 makes them grey, 3 keeps colours; by default 3, for IDX files 1.
        balanced: draw each class equally often.
        batch_size: training images in a step, in each process.
        val_size: validation images, as a number (5000) or as a fraction of the training set (0.2); by default 5000,
            for your own pictures 0.15 or their ``val`` folder. 0 trains on all images: then no epoch can be chosen, and
            there is only a last checkpoint.
        fold: validate on one fold of a cross-validation of the training set: ``2/5`` is the second of five.
        train_size: train on this many images only; by default on all that are not for validation.
        prune: share of the training images that each epoch leaves out, drawn from those that were easy when last shown.
        flip: mirror training images: ``none``, ``random``, or ``alternating`` from epoch to epoch.
        shift: largest shift of training images, in pixels.
        cutout: side of a square cut out of training images, in pixels.
        photographs: render training and validation images as photographs with edges of this many pixels, and show test
            images on white, as in a catalogue; 0 leaves all images as they are.
    """

    def __init__(
        self,
        root: str | None = None,
        folder: str | None = None,
        size: int | None = None,
        channels: Literal[1, 3] | None = None,
        batch_size: int = 64,
        balanced: bool = False,
        val_size: int | float | None = None,
        fold: str | None = None,
        train_size: int | None = None,
        prune: float = 0.0,
        flip: Flip = "none",
        shift: int = 0,
        cutout: int = 0,
        photographs: int = 0,
    ) -> None:
        super().__init__()
        if folder is None and (size, channels) != (None, None):
            raise UserError("data.size and data.channels are for your own pictures: add --data.folder FOLDER")
        if folder is not None and (root is not None or photographs):
            raise UserError("data.root and data.photographs are for Fashion-MNIST: leave them out with data.folder.")
        if balanced and prune:
            raise UserError("data.balanced, which draws each class equally often, excludes pruning: add --prune 0")
        self.own = None if folder is None else own_pictures.load(Path(folder).expanduser(), size, channels)
        self.images = rendered(photographs) if photographs else FASHION_MNIST
        if self.own is not None:
            self.images = self.own.images
        for name, value, lowest, limit in (
            ("batch_size", batch_size, 1, math.inf),
            ("train_size", 1 if train_size is None else train_size, 1, math.inf),
            ("prune", prune, 0, EASIEST),
            ("shift", shift, 0, self.images.size if self.own else FASHION_MNIST.size),
            ("cutout", cutout, 0, 1 + (self.images.size if self.own else FASHION_MNIST.size)),
        ):
            if not lowest <= value < limit:
                raise UserError(f"data.{name} must be at least {lowest} and below {limit}, not {value}.")
        self.root = None if root is None else Path(root).expanduser()
        self.batch_size = batch_size
        self.balanced = balanced
        self.val_size = default_val_size(folder) if val_size is None else val_size
        self.fold = fold
        self.train_size = train_size
        self.prune = prune
        self.image_losses: ImageLosses | None = None  # set by the callback PruneEasyImages
        self.seed = run_seed()
        self.augment = Augment(flip, shift, cutout, self.seed)
        self.sampler: Shuffled | None = None  # of the training images
        self._loaded: dict[source.Split, tuple[Tensor, Tensor]] = {}

    @classmethod
    def load_from_checkpoint(cls, *_: Any, **__: Any) -> NoReturn:
        """Refuse to load: Lightning's method would let the file choose the data folder and the class to build.

        Raises:
            UserError: always.
        """
        raise UserError("A checkpoint does not decide where data lie: build a FashionMNISTDataModule yourself.")

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Return hashes of the data (and your own pictures' class sizes); a run continues only on the same data."""
        return {"sha256": source.SHA256[source.FILES["train"][0]]} if self.own is None else self.own.fingerprint

    def prepare_data(self) -> None:
        """Fetch missing files; Lightning calls this in one process only."""
        self.load("train" if self.trainer is None or self.trainer.state.fn in ("fit", "validate") else "test")

    def setup(self, stage: str) -> None:
        """Read the split that this stage needs; ``fit`` and ``validate`` never open the test files."""
        if getattr(self.trainer, "overfit_batches", 0):  # Lightning would load images one by one
            raise UserError("Trainer(overfit_batches=…) cannot be used: give the DataModule a small train_size.")
        if stage in ("fit", "validate"):
            images, labels = self.load("train")
            own_val = 0 if self.own is None else self.own.validation
            count = round(self.val_size * len(labels)) if isinstance(self.val_size, float) else self.val_size
            begin, count = fold_bounds(self.fold, len(labels)) if self.fold else (0, own_val or count)
            if not 0 <= count < len(labels):
                raise UserError(
                    f"data.val_size is {self.val_size}: give a number of images below {len(labels):,}, or a fraction"
                    " between 0 and 1."
                )
            if own_val and (self.fold or self.val_size != default_val_size("")):
                raise UserError("These pictures have a validation folder: leave data.fold and data.val_size out.")
            if own_val:  # the last images
                train, val = torch.split(torch.arange(len(labels)), [len(labels) - own_val, own_val])
                train = train[stratified_order(labels[train])[: self.train_size]]
            else:
                train, val = train_val_indices(labels, count, self.train_size, begin)
            if self.train_size is not None and self.train_size > len(train):
                raise UserError(
                    f"data.train_size is {self.train_size}, but only {len(train)} images are left to train on."
                )
            self.image_losses = None
            self.train_set = ImagesInMemory(images, labels, train)
            self.val_set = ImagesInMemory(images, labels, val)
            if self.images.photographs:  # rendered with the same draws in every run
                parts = enumerate(torch.split(images[val], EVAL_BATCH_SIZE))
                seen = [
                    render(part, Draws(generator("validation", n), Part(len(part)), part.device), self.images.size)
                    for n, part in parts
                ]
                self.val_set = ImagesInMemory(torch.cat(seen), labels[val])
            if stage == "fit" and self.batch_size > (shown := self._order(0, 1).length):
                raise UserError(f"data.batch_size is {self.batch_size}, but an epoch has only {shown} training images.")
        else:
            self.test_set = ImagesInMemory(*self.load("test"))

    def in_size(self, images: Tensor) -> Tensor:
        """Return images from the files as the network takes them: as catalogue pictures if it is for photographs."""
        return catalogue(images, self.images.size) if self.images.photographs else images

    def load(self, split: source.Split) -> tuple[Tensor, Tensor]:
        """Read and verify a split once in this process; your own validation pictures come last in ``train``."""
        if self.own is not None:
            return self.own.splits[split]
        if split not in self._loaded:
            self._loaded[split] = source.load(split, self.root)
        return self._loaded[split]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Load batches in a new order each epoch; a resumed run starts at the batch where it stopped."""
        sampler = self.sampler = self._order(*self._rank_and_world_size())
        if self.trainer is not None:
            if self.prune and self.image_losses is None:
                raise UserError("data.prune needs the callback fashion_lightning.callbacks.pruning.PruneEasyImages.")
            progress = self.trainer.fit_loop.epoch_loop.batch_progress
            # A checkpoint from the end of an epoch has counted all its batches: the next epoch starts at batch 0.
            done: int = progress.current.processed  # type: ignore[attr-defined]
            sampler.start_at(self._epoch(), 0 if progress.is_last_batch else done)
        return batch_loader(self.train_set, sampler)

    def _order(self, rank: int, world_size: int) -> Shuffled:
        if self.balanced:
            labels = self.train_set.labels[self.train_set.indices]
            return Balanced(labels, self.batch_size, self.seed, rank, world_size)
        if not self.prune:
            return Shuffled(len(self.train_set), self.batch_size, self.seed, rank, world_size)
        indices, losses = self.train_set.indices, self.image_losses or ImageLosses(len(self.train_set.labels))
        return Pruned(indices, self.prune, losses, self.batch_size, self.seed, rank, world_size)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Load the validation images, each once."""
        return self._in_order(self.val_set)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Load the test images, each once; ``predict`` uses them, too."""
        return self._in_order(self.test_set)

    predict_dataloader = test_dataloader

    def _in_order(self, dataset: ImagesInMemory) -> DataLoader[Batch]:
        return batch_loader(dataset, InOrder(len(dataset), EVAL_BATCH_SIZE, *self._rank_and_world_size()))

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training batches, on their device; bring test images into the form that the network takes."""
        if self.trainer is None or not isinstance(batch, Batch):
            return batch  # the example input of the model summary
        if not self.trainer.training:
            is_test = self.trainer.testing or self.trainer.predicting
            return batch._replace(images=self.in_size(batch.images)) if is_test else batch
        batch_idx = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        part = Part(self.images_in_step(batch, batch_idx), *self._rank_and_world_size())
        images = self.augment(batch.images, batch.indices, self._epoch(), batch_idx, part)
        if not self.images.photographs:
            return batch._replace(images=images)
        draws = generator(self.seed, "photographs", self._epoch(), batch_idx)
        shown, count = render_step(images, draws, part, self.images.size)
        return Batch(shown, batch.labels[:count], batch.indices[:count])

    def images_in_step(self, batch: Batch, batch_idx: int) -> int:
        """Return the number of images in this training step, over all processes."""
        return len(batch.labels) if self.sampler is None else self.sampler.images_in_step(batch_idx)

    def _epoch(self) -> int:
        """Return the epoch of the next training batch; valid even before ``on_train_start``."""
        assert self.trainer is not None
        return int(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
