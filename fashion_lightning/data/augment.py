"""Augment a whole batch with a few tensor operations; each image gets its own random draw."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from fashion_lightning.data.seeding import derive_seed, generator

Flip = Literal["none", "random", "alternating"]


class Part(NamedTuple):
    """One process's share of the images of a step: every ``processes``-th image, beginning with image ``rank``."""

    whole: int
    """Images of the step, in all processes together."""
    rank: int = 0
    processes: int = 1

    def of(self, draws: Tensor) -> Tensor:
        """Return the draws for this share, out of ``(…, whole)`` draws for all images of the step."""
        return draws[..., self.rank :: self.processes]


class Augment:
    """Mirror, shift and cut training images.

    Args:
        flip: ``random`` mirrors each image with probability ½. ``alternating`` draws once for each image and then
            mirrors it in every other epoch, so that two successive epochs show an image both ways
            (https://arxiv.org/abs/2404.00498, section 3.6).
        shift: largest shift in pixels, up, down, left or right; the border is filled with black.
        cutout: side in pixels of a black square at a random place; 0 for none (https://arxiv.org/abs/1708.04552).
        seed: draws depend only on this seed, the epoch and the step; those of ``alternating``, on seed and image.
    """

    def __init__(self, flip: Flip = "none", shift: int = 0, cutout: int = 0, seed: int = 0) -> None:
        self.flip, self.shift, self.cutout, self.seed = flip, shift, cutout, seed

    def __call__(self, images: Tensor, indices: Tensor, epoch: int, batch_idx: int, part: Part | None = None) -> Tensor:
        """Augment one batch.

        Args:
            images: ``(B, channels, size, size)`` of any dtype, on any device.
            indices: ``(B,)`` int64, the position of each image in the training files.
            epoch: counted from 0.
            batch_idx: counted from 0 in each epoch.
            part: the share of the step that these images are; by default, the whole step.

        Returns:
            Images of the same shape, dtype and device.
        """
        # Drawn on the CPU, so that every kind of device sees the same images, without waiting for a GPU.
        draws = generator(self.seed, "augment", epoch, batch_idx)
        part = part or Part(len(images))
        if self.flip != "none":
            images = self._mirrored(images, indices, epoch, draws, part)
        if self.shift:
            images = self._shifted(images, draws, part)
        if self.cutout:
            images = self._cut(images, draws, part)
        return images

    def _mirrored(self, images: Tensor, indices: Tensor, epoch: int, draws: torch.Generator, part: Part) -> Tensor:
        if self.flip == "random":
            mirror = part.of(torch.rand(part.whole, generator=draws)) < 0.5
        else:
            # A multiplicative hash of the index (Knuth) replaces a stored draw for each image.
            hashed = indices * 0x9E3779B1 + derive_seed(self.seed, "flip") % 2**31
            mirror = ((hashed >> 20) + epoch) % 2 == 1
        return torch.where(moved(mirror, images.device)[:, None, None, None], images.flip(-1), images)

    def _shifted(self, images: Tensor, draws: torch.Generator, part: Part) -> Tensor:
        count, size, places = len(images), images.shape[-1], 2 * self.shift + 1
        # A view of all windows of the image's size in the padded image; each image takes one of them.
        windows = pad(images, [self.shift] * 4).unfold(2, size, 1).unfold(3, size, 1)
        drawn = part.of(torch.randint(places, (2, part.whole), generator=draws))
        down, right = moved(drawn, images.device)
        return windows[torch.arange(count, device=images.device), :, down, right]

    def _cut(self, images: Tensor, draws: torch.Generator, part: Part) -> Tensor:
        size = images.shape[-1]
        centre = part.of(torch.randint(size, (2, part.whole), generator=draws)).unsqueeze(-1)
        offset = torch.arange(size) - centre + self.cutout // 2
        inside = moved((offset >= 0) & (offset < self.cutout), images.device)
        return images.masked_fill((inside[0][:, :, None] & inside[1][:, None, :]).unsqueeze(1), 0)


def moved(drawn: Tensor, device: torch.device) -> Tensor:
    """Copy draws to the images' device; asynchronously only on CUDA, where the source may be freed at once.

    On Apple's GPUs an asynchronous copy is silently wrong (pytorch issue 189690).
    """
    return drawn.to(device, non_blocking=device.type == "cuda")
