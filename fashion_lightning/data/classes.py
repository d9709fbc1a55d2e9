"""The ten classes and the result of classifying; imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The ten classes in the order of their labels, 0 … 9."""

PIXEL_MEAN, PIXEL_STD = 0.2860, 0.3530
"""Of all pixels of the 60,000 training images, on a scale of 0 to 1."""

DOUBTFUL = 0.5
"""Predictions below this probability are called doubtful: the other classes together are then more probable.

Chosen on the 5,000 validation images: 3.7 % of them are below by the recipe cnn and 5.0 % by quick, and of those 50 %
and 52 % are classified correctly; of all, 94.3 and 93.3 %.
"""

WHAT_IT_CANNOT_KNOW = (
    "The classifier has learnt from garments laid flat and seen from the front, and from shoes seen from the side;"
    "\nwhite ones do not occur in its data. Of other pictures it cannot know."
)


class Classification(NamedTuple):
    """The classes of ``B`` images; a notebook shows the three best classes of the first ten images.

    >>> Classification(["Bag"], torch.tensor([[0.04, 0, 0, 0.01, 0, 0, 0, 0, 0.95, 0]]))
    Bag 95.0 %   T-shirt/top 4.0 %   Dress 1.0 %
    """

    names: list[str]
    """The most probable class of each."""
    probabilities: Tensor
    """``(B, 10)`` float32, in the order of ``CLASS_NAMES``."""

    def __repr__(self) -> str:
        lines = []
        for row in self.probabilities[:SHOWN].tolist():
            best = sorted(zip(row, CLASS_NAMES, strict=True), reverse=True)[:3]
            lines.append("   ".join(f"{name} {100 * probability:.1f} %" for probability, name in best))
        more = len(self.names) - SHOWN
        return "\n".join([*lines, *([f"… and {more:,} more"] if more > 0 else [])] or ["no images"])


SHOWN = 10
"""Images of a ``Classification`` that are written out."""
