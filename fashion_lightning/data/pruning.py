"""Prune data dynamically: each epoch leaves out some images that were easy when they were last shown."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fashion_lightning.data.batches import Shuffled

EASIEST = 0.7
"""Share of the training images that count as easy; those left out are drawn from them."""


class ImageLosses:
    """The latest cross-entropy of each training image, over all processes.

    Args:
        length: number of training images in the files, including those that a run does not use.
    """

    def __init__(self, length: int) -> None:
        self.losses = torch.full((length,), torch.inf)  # images never shown count as the hardest
        self.at_start_of_epoch = self.losses
        self.shown: list[tuple[Tensor, Tensor]] = []

    def record(self, indices: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Keep a batch's losses on its device, without waiting for a GPU; ``indices`` are positions in the files."""
        self.shown.append((indices, cross_entropy(logits.detach().float(), labels, reduction="none")))

    def start_epoch(self) -> Tensor:
        """Return the losses ``(length,)`` by which an epoch's images are chosen; a collective call."""
        self._gather()
        self.at_start_of_epoch = self.losses.clone()
        return self.at_start_of_epoch

    def _gather(self) -> None:
        """Gather the losses that all processes have recorded; no two show the same image in an epoch."""
        shown = [(indices.cpu(), losses.cpu()) for indices, losses in self.shown]
        self.shown = []
        parts: list[Any] = [shown]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            parts = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(parts, shown)
        for indices, losses in (batch for part in parts for batch in part):
            self.losses[indices] = losses

    def state_dict(self) -> dict[str, Tensor]:
        """Return the current losses and those at the start of the epoch; a collective call."""
        self._gather()
        return {"losses": self.losses, "at_start_of_epoch": self.at_start_of_epoch}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the state that ``state_dict`` returned."""
        self.losses, self.at_start_of_epoch = (state[name].detach().clone() for name in ("losses", "at_start_of_epoch"))


class Pruned(Shuffled):
    """Yields an order without some of the easy images, different ones in each epoch.

    Easy images are the share ``EASIEST`` with the lowest losses when last shown; images never shown are the hardest. An
    epoch shows all hard images and a random part of the easy ones. All weigh the same, so the hard ones count more.
    (https://arxiv.org/abs/2303.04947 leaves out half of the images below the mean loss, and doubles the weight of
    the other half.)

    Args:
        indices: positions of the images in the files, ``(M,)`` int64.
        share: the share of the images that each epoch leaves out; less than ``EASIEST``.
        losses: of all images in the files.
        batch_size, seed, rank, world_size: as for ``Shuffled``.
    """

    def __init__(
        self,
        indices: Tensor,
        share: float,
        losses: ImageLosses,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(len(indices) - int(share * len(indices)), batch_size, seed, rank, world_size)
        self.indices, self.losses = indices, losses

    def order(self, draws: torch.Generator) -> Tensor:
        """Return an epoch's positions ``(length,)``, chosen by the losses at its start and random draws."""
        by_losses = self.losses.at_start_of_epoch if self.first_batch else self.losses.start_epoch()
        shuffled = torch.randperm(len(self.indices), generator=draws)  # breaks ties at random
        easiest_first = shuffled[by_losses[self.indices[shuffled]].argsort(stable=True)]
        easy = easiest_first[: int(EASIEST * len(self.indices))]
        hard = easiest_first[len(easy) :]
        some = easy[torch.randperm(len(easy), generator=draws)[: self.length - len(hard)]]
        return torch.cat([hard, some])[torch.randperm(self.length, generator=draws)]
