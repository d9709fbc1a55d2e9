"""Dynamic data pruning: each epoch leaves out images that were easy when they were last shown."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fashion_lightning.data.batches import Shuffled

EASIEST = 0.7
"""Share of the images that those left out are drawn from."""


class ImageLosses:
    """The cross-entropy of each training image when it was last shown, by whichever process.

    Args:
        length: training images in the files, of which a run shows some.
    """

    def __init__(self, length: int) -> None:
        self.losses = torch.full((length,), torch.inf)  # of those never shown: the hardest
        self.at_start_of_epoch = self.losses
        self.shown: list[tuple[Tensor, Tensor]] = []

    def record(self, indices: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Keep a batch, whose indices are places in the files, on its device: a GPU is not waited for in a step."""
        self.shown.append((indices, cross_entropy(logits.detach().float(), labels, reduction="none")))

    def start_epoch(self) -> Tensor:
        """Return the losses ``(length,)`` that choose an epoch's images; a collective call."""
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
        """Go on from what ``state_dict`` gave."""
        self.losses, self.at_start_of_epoch = (state[name].detach().clone() for name in ("losses", "at_start_of_epoch"))


class Pruned(Shuffled):
    """An order without some of the easiest images, others in each epoch.

    An epoch shows all images but the ``EASIEST`` ones, by their losses when they were last shown, and a random part of
    the easy ones. Images never shown count as the hardest. Nothing is weighted: hard images are meant to count more.
    (https://arxiv.org/abs/2303.04947 leaves out half of the images with less than the mean loss and weighs the others
    of them twice.)

    Args:
        indices: places of the images in the files, ``(M,)`` int64.
        share: of the images, how many each epoch leaves out; less than ``EASIEST``.
        losses: of all images in the files.
        batch_size, seed, rank, world_size: as of ``Shuffled``.
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
        """Return the positions ``(length,)`` that an epoch shows, by its draws and the losses at its start."""
        by_losses = self.losses.at_start_of_epoch if self.first_batch else self.losses.start_epoch()
        shuffled = torch.randperm(len(self.indices), generator=draws)  # equal losses in any order
        easiest_first = shuffled[by_losses[self.indices[shuffled]].argsort(stable=True)]
        easy = easiest_first[: int(EASIEST * len(self.indices))]
        hard = easiest_first[len(easy) :]
        some = easy[torch.randperm(len(easy), generator=draws)[: self.length - len(hard)]]
        return torch.cat([hard, some])[torch.randperm(self.length, generator=draws)]
