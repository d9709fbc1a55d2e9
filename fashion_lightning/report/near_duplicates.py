"""Test images that the training images hold already, or nearly.

Of Fashion-MNIST about 5 % of the test images are near-duplicates of a training image (Geier 2019,
https://arxiv.org/abs/1906.08255, found about 6 % by another rule): the same product photographed once, or in
another size. A network may know them by heart, so the accuracy on the others says more about new images.

The rule was chosen by looking at pairs: up to 15 grey levels apart, all have the same label; at 18 about 3 % have not;
beyond 20, more and more are other products of the same cut. Trousers are alike enough to be half of all pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LIMIT = 18.0
"""Grey levels of 255: the root mean square, over the pixels, of the difference of two near-duplicates, at most."""

DIMENSIONS, FIRST = 96, 8
"""Principal components by which two images, and by which a whole group and an image, are seen to be too far apart."""

GROUP, IMAGES_AT_ONCE, PAIRS_AT_ONCE = 250, 5000, 20_000
"""They bound the memory: at most 60 MB of distances, 16 MB of images as float32, 63 MB of both images of pairs."""


@dataclass(frozen=True)
class NearDuplicates:
    """For each test image the nearest training image, if it is near enough."""

    nearest: Tensor
    """Its index, ``(N,)`` int64; -1 where there is none."""
    distance: Tensor
    """Root mean square of the difference in grey levels, ``(N,)`` float32; infinite where there is none."""
    mirrored: Tensor
    """Whether it is the mirror image that is near, ``(N,)`` bool."""

    @property
    def found(self) -> Tensor:
        """Whether a test image has a near-duplicate, ``(N,)`` bool."""
        return self.nearest >= 0


def near_duplicates(images: Tensor, known: Tensor) -> NearDuplicates:
    """Look for each image among known ones, as it is and mirrored.

    Projections on orthogonal axes never lie further apart than what they are projections of: pairs whose first
    principal components are too far apart are left out without loss, and all others are compared exactly.

    Args:
        images: ``(N, 1, H, W)`` uint8.
        known: ``(M, 1, H, W)`` uint8.
    """
    pixels = known[0].numel()
    limit = LIMIT**2 * pixels
    bound = 1.01 * limit  # float32 gives squared distances to about a millionth of the largest
    mean, axes = _principal_axes(known)
    known_points = _project(known, mean, axes)
    known_norms, known_first = (known_points**2).sum(dim=1), known_points[:, :FIRST].contiguous()
    squares = torch.full((len(images),), torch.inf)
    nearest = torch.full((len(images),), -1)
    mirrored = torch.zeros(len(images), dtype=torch.bool)
    for is_mirrored, views in ((False, images), (True, images.flip(-1))):
        points = _project(views, mean, axes)
        for group in _groups(points, torch.arange(len(points))):
            part, box = points[group], points[group, :FIRST]
            to_box = (known_first - known_first.clamp(box.amin(dim=0), box.amax(dim=0))).square().sum(dim=1)
            others = (to_box <= bound).nonzero().flatten()
            apart = torch.addmm(known_norms[others], part, known_points[others].T, alpha=-2)
            pairs = (apart <= bound - (part**2).sum(dim=1, keepdim=True)).nonzero()
            for test, other in ((group[pair[:, 0]], others[pair[:, 1]]) for pair in torch.split(pairs, PAIRS_AT_ONCE)):
                exact = (views[test].float() - known[other].float()).square().flatten(1).sum(dim=1)
                for index, square, place in _least_of_each(test, exact, other):
                    if square <= limit and square < squares[index]:
                        squares[index], nearest[index], mirrored[index] = square, place, is_mirrored
    return NearDuplicates(nearest, (squares / pixels).sqrt(), mirrored)


def _principal_axes(images: Tensor) -> tuple[Tensor, Tensor]:
    """The mean ``(P,)`` of images and their principal axes ``(P, D)``, from about 6,000 of them."""
    sample = images[:: max(1, len(images) // 6000)].flatten(1).float()
    mean = sample.mean(dim=0)
    return mean, torch.linalg.eigh((sample - mean).T @ (sample - mean))[1].flip(1)[:, :DIMENSIONS]


def _project(images: Tensor, mean: Tensor, axes: Tensor) -> Tensor:
    return torch.cat([(part.flatten(1).float() - mean) @ axes for part in torch.split(images, IMAGES_AT_ONCE)])


def _groups(points: Tensor, rows: Tensor) -> Iterator[Tensor]:
    """Rows of points ``(N, D)`` in groups that lie close together: halved by the axis along which they vary most."""
    if len(rows) <= GROUP:
        yield rows
        return
    along = points[rows, points[rows].var(dim=0).argmax()].argsort()
    for half in torch.split(along, (len(rows) + 1) // 2):
        yield from _groups(points, rows[half])


def _least_of_each(rows: Tensor, values: Tensor, others: Tensor) -> list[tuple[int, float, int]]:
    """For each different row its least value, and which other that is of."""
    order = np.lexsort((others.numpy(), values.numpy(), rows.numpy()))
    _, starts = np.unique(rows.numpy()[order], return_index=True)
    least = order[starts]
    return list(zip(rows[least].tolist(), values[least].tolist(), others[least].tolist(), strict=True))
