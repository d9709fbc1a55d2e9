"""What a network takes and names: Fashion-MNIST's ten classes, or those of your own pictures; imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fashion_lightning.errors import UserError

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

MOST_CLASSES, LONGEST_CLASS_NAME = 1000, 60


@dataclass(frozen=True)
class ImageSpec:
    """What the images of a data set are: a network is built for it, and its names are shown.

    The defaults are those of Fashion-MNIST.

    Args:
        class_names: in the order of the labels.
        size: pixels of each edge, 8 to 128.
        channels: 1 for grey images, 3 for colour.
        mean: of each channel over all training images, on a scale of 0 to 1.
        std: the standard deviation of each channel, on the same scale.
        photographs: whether the network has learnt to see pictures as a camera takes them. To others they must be shown
            as the images of Fashion-MNIST: bright on black.

    Raises:
        UserError: a value is out of bounds; the message is the end of a sentence about a file.
    """

    class_names: tuple[str, ...] = CLASS_NAMES
    size: int = 28
    channels: int = 1
    mean: tuple[float, ...] = (PIXEL_MEAN,)
    std: tuple[float, ...] = (PIXEL_STD,)
    photographs: bool = False

    def __post_init__(self) -> None:
        names = self.class_names  # shown as text; may come from anybody
        plain = all(isinstance(name, str) and name.isprintable() and len(name) <= LONGEST_CLASS_NAME for name in names)
        if not plain or "" in names or not 2 <= len(names) <= MOST_CLASSES or len(set(names)) < len(names):
            raise UserError(
                f"its classes have not 2 to {MOST_CLASSES} different names of up to {LONGEST_CLASS_NAME} characters"
            )
        if type(self.size) is not int or not 8 <= self.size <= 128 or self.channels not in (1, 3):
            raise UserError("its images are not 8 to 128 pixels wide, with 1 or 3 channels")
        if type(self.photographs) is not bool:
            raise UserError("its images are neither photographs nor others")
        within = all(isinstance(value, float) and 0 <= value <= 1 for value in (*self.mean, *self.std))
        if not within or not len(self.mean) == len(self.std) == self.channels or min(self.std) < 1e-4:
            raise UserError("the mean or the standard deviation of its images cannot be")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "ImageSpec":
        """Build it from the values of a card or a config, where tuples are lists."""
        plain: dict[str, Any] = {key: tuple(it) if isinstance(it, list) else it for key, it in values.items()}
        return cls(**plain)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.channels, self.size, self.size


FASHION_MNIST = ImageSpec()

COVERAGE, BELIEVED = 0.9, 0.95


@dataclass(frozen=True)
class Limits:
    """How a classifier judged its validation images, by which it says what it cannot know.

    Raises:
        UserError: a value is out of bounds; the message is the end of a sentence about a file.
    """

    probability: float = 1.0
    """In ``COVERAGE`` of the images the true class was at least so probable: such classes are likely (split conformal
    prediction, https://arxiv.org/abs/2107.07511, section 1)."""
    logit: float = -1e4
    """In ``BELIEVED`` of the images the largest logit was at least so large: with less, it is none of the classes."""

    def __post_init__(self) -> None:
        if not all(isinstance(value, float) and abs(value) <= 1e4 for value in (self.probability, self.logit)):
            raise UserError("its limits cannot be")


NO_LIMITS = Limits()
"""Only the most probable class is likely, and no picture is none of the classes."""


def likely_names(probabilities: Sequence[float], likely: Sequence[bool], names: Sequence[str]) -> list[str]:
    """Return the names of the likely classes of an image, the most probable first."""
    ranked = sorted(zip(probabilities, likely, names, strict=True), reverse=True)
    return [name for _, is_likely, name in ranked if is_likely]


Answer = tuple[list[float], list[str]]
"""The probabilities of an image, and its likely classes."""


def in_words(likely: Sequence[str]) -> str:
    """Name the likely classes, the most probable first: ``Coat or Shirt``."""
    return " or ".join(likely) or "none of these classes"


def rendered(size: int) -> ImageSpec:
    """Return what renderings of Fashion-MNIST as photographs are; mean and deviation are those of all pixels.

    Raises:
        UserError: they are smaller than 32 pixels, or larger than 128.
    """
    if not 32 <= size <= 128:
        raise UserError(f"data.photographs is {size}: give 32 to 128 pixels, or 0 for images as they are.")
    return ImageSpec(size=size, channels=3, mean=(0.54,) * 3, std=(0.31,) * 3, photographs=True)


DOUBTFUL = 0.5
"""Predictions below this probability are called doubtful: the other classes together are then more probable.

Chosen on the 5,000 validation images: 3.7 % of them are below by the recipe cnn and 5.0 % by quick, and of those 50 %
and 52 % are classified correctly; of all, 94.3 and 93.3 %.
"""

WHAT_IT_CANNOT_KNOW = (
    "The classifier has learnt from garments laid flat and seen from the front, and from shoes seen from the side;"
    "\nwhite ones do not occur in its data. Of other pictures it cannot know."
)


class _Pair(NamedTuple):
    names: list[str]
    probabilities: "Tensor"


class Classification(_Pair):
    """The classes of ``B`` images, a pair; a notebook shows the three best classes of the first ten images.

    >>> Classification(["Bag"], torch.tensor([[0.04, 0, 0, 0.01, 0, 0, 0, 0, 0.95, 0]]))
    Bag 95.0 %   T-shirt/top 4.0 %   Dress 1.0 %

    ``names`` are the most probable class of each, ``probabilities`` ``(B, classes)`` float32.
    """

    class_names: tuple[str, ...] = CLASS_NAMES
    """The names of all classes, in the order of the probabilities."""
    likely: list[list[str]]
    """The classes that hold the true one of nine images in ten, the most probable first; none where no class fits."""

    def __repr__(self) -> str:
        lines = []
        for row in self.probabilities[:SHOWN].tolist():
            best = sorted(zip(row, self.class_names, strict=True), reverse=True)[:3]
            lines.append("   ".join(f"{name} {100 * probability:.1f} %" for probability, name in best))
        more = len(self.names) - SHOWN
        return "\n".join([*lines, *([f"… and {more:,} more"] if more > 0 else [])] or ["no images"])


SHOWN = 10
"""Images of a ``Classification`` that are written out."""
