"""Test images that the training images hold already, or nearly: a list that was made once for the data set.

About 5 % of Fashion-MNIST's test images are near-duplicates of a training image (Geier 2019,
https://arxiv.org/abs/1906.08255, found about 6 % by another rule): the same product photographed once, or in another
size. A network may know them by heart, so the accuracy on the others says more about new images.
``benchmarks/near_duplicates.py`` makes the list again.
"""

import csv
import hashlib
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

FILE = Path(__file__).with_name("near_duplicates.csv")

LIMIT = 18.0
"""Grey levels of 255: the largest root mean square, over the pixels, of the difference of two near-duplicates."""

TEST_IMAGES = "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a"
"""SHA-256 of the pixels of the 10,000 test images that the list was made for."""


class NearDuplicate(NamedTuple):
    """The nearest training image of a test image."""

    nearest: int
    """Its index."""
    mirrored: bool
    """Whether its mirror image is near."""
    distance: float
    """Root mean square of the difference, in grey levels."""


def near_duplicates(images: Tensor) -> dict[int, NearDuplicate] | None:
    """Return the near-duplicates by the index of the test image.

    Args:
        images: all test images, ``(10000, 1, 28, 28)`` uint8; for others than Fashion-MNIST's, the result is ``None``.
    """
    if hashlib.sha256(images.numpy().tobytes()).hexdigest() != TEST_IMAGES:
        return None
    with FILE.open(encoding="utf-8", newline="") as file:
        return {
            int(row["test_image"]): NearDuplicate(
                int(row["training_image"]), row["mirrored"] == "1", float(row["distance"])
            )
            for row in csv.DictReader(file)
        }
