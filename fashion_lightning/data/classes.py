"""Describe a network's images and classes: Fashion-MNIST's, or those of your own pictures. Imports no torch."""

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
"""Mean and standard deviation over all pixels of the 60,000 training images, on a scale of 0 to 1."""

MOST_CLASSES, LONGEST_CLASS_NAME = 1000, 60


@dataclass(frozen=True)
class ImageSpec:
    """The shape, classes and normalization of a data set's images; a network is built for them.

    The defaults are those of Fashion-MNIST.

    Args:
        class_names: in the order of the labels.
        size: pixels of each edge, 8 to 128.
        channels: 1 for grey images, 3 for colour.
        mean: of each channel over training images, on a scale of 0 to 1.
        std: the standard deviation of each channel, on the same scale.
        photographs: whether the network was trained on pictures as a camera takes them. If not, pictures must look like
            those that it was trained on: for Fashion-MNIST, bright on black.

    Raises:
        UserError: a value is out of bounds; the message follows ``FILE cannot be used:``.
    """

    class_names: tuple[str, ...] = CLASS_NAMES
    size: int = 28
    channels: int = 1
    mean: tuple[float, ...] = (PIXEL_MEAN,)
    std: tuple[float, ...] = (PIXEL_STD,)
    photographs: bool = False

    def __post_init__(self) -> None:
        names = self.class_names  # shown as text; may come from a stranger's file
        plain = all(isinstance(name, str) and name.isprintable() and len(name) <= LONGEST_CLASS_NAME for name in names)
        if (
            not plain
            or not isinstance(names, tuple)
            or "" in names
            or not 2 <= len(names) <= MOST_CLASSES
            or len(set(names)) < len(names)
        ):
            raise UserError(
                f"its classes are not 2 to {MOST_CLASSES} different names of up to {LONGEST_CLASS_NAME} characters"
            )
        if type(self.size) is not int or not 8 <= self.size <= 128 or self.channels not in (1, 3):
            raise UserError("its images are not 8 to 128 pixels wide, with 1 or 3 channels")
        if type(self.photographs) is not bool:
            raise UserError("its `photographs` is neither true nor false")
        within = all(isinstance(value, float) and 0 <= value <= 1 for value in (*self.mean, *self.std))
        if not within or not len(self.mean) == len(self.std) == self.channels or min(self.std) < 1e-4:
            raise UserError("the mean or the standard deviation of its images is out of bounds")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "ImageSpec":
        """Build it from the values of a card or a config, which hold tuples as lists."""
        plain: dict[str, Any] = {key: tuple(it) if isinstance(it, list) else it for key, it in values.items()}
        return cls(**plain)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return channels, height and width of an image."""
        return self.channels, self.size, self.size


FASHION_MNIST = ImageSpec()

COVERAGE, BELIEVED = 0.9, 0.95


@dataclass(frozen=True)
class Limits:
    """Thresholds from the validation images, with which a classifier says how sure it is.

    Raises:
        UserError: a value is out of bounds; the message follows ``FILE cannot be used:``.
    """

    probability: float = 1.0
    """Classes at least this probable count as likely. In the share ``COVERAGE`` of the images, the true class is at
    least this probable (split conformal prediction, https://arxiv.org/abs/2107.07511, section 1)."""
    logit: float = -1e4
    """An image whose largest logit is below this fits no class; ``BELIEVED`` of the validation images fit one."""

    def __post_init__(self) -> None:
        if not all(isinstance(value, float) and abs(value) <= 1e4 for value in (self.probability, self.logit)):
            raise UserError("its limits are out of bounds")


NO_LIMITS = Limits()
"""Only the most probable class counts as likely, and every picture belongs to one of the classes."""


def likely_names(probabilities: Sequence[float], likely: Sequence[bool], names: Sequence[str]) -> list[str]:
    """Return the names of the likely classes of an image, the most probable first."""
    ranked = sorted(zip(probabilities, likely, names, strict=True), reverse=True)
    return [name for _, is_likely, name in ranked if is_likely]


Answer = tuple[list[float], list[str]]
"""The probabilities of an image's classes, and the names of the likely ones."""


def in_words(likely: Sequence[str]) -> str:
    """Join the names of the likely classes, the most probable first: ``Coat or Shirt``."""
    return " or ".join(likely) or "none of these classes"


def rendered(size: int) -> ImageSpec:
    """Describe renderings of Fashion-MNIST as photographs; mean and standard deviation are over all pixels.

    Raises:
        UserError: ``size`` is below 32 pixels or above 128.
    """
    if not 32 <= size <= 128:
        raise UserError(f"data.photographs is {size}: give 32 to 128 pixels, or 0 for images as they are.")
    return ImageSpec(size=size, channels=3, mean=(0.54,) * 3, std=(0.31,) * 3, photographs=True)


DOUBTFUL = 0.5
"""Predictions below this probability are called doubtful: the other classes together are then more probable.

Chosen on the 5,000 validation images: cnn is below it on 3.7 % of them and quick on 5.0 %. Of these images they
classify 50 % and 52 % correctly; of all images, 94.3 % and 93.3 %.
"""

WHAT_IT_CANNOT_KNOW = (
    "The classifier has learnt from garments laid flat and seen from the front, and from shoes seen from the side;"
    "\nnone of them were white. Its answers for other pictures are not to be trusted."
)


class _Pair(NamedTuple):
    names: list[str]
    probabilities: "Tensor"


class Classification(_Pair):
    """The predicted classes of ``B`` images; a notebook shows the three most probable of each of the first ten images.

    >>> Classification(["Bag"], torch.tensor([[0.04, 0, 0, 0.01, 0, 0, 0, 0, 0.95, 0]]))
    Bag 95.0 %   T-shirt/top 4.0 %   Dress 1.0 %

    ``names`` holds the most probable class of each image, ``probabilities`` is ``(B, classes)`` float32.
    """

    class_names: tuple[str, ...] = CLASS_NAMES
    """The names of all classes, in the order of the probabilities."""
    likely: list[list[str]]
    """Likely classes, the most probable first; they hold the true one for about 90 % of images. Empty: none fits."""

    def __repr__(self) -> str:
        lines = []
        for row in self.probabilities[:SHOWN].tolist():
            best = sorted(zip(row, self.class_names, strict=True), reverse=True)[:3]
            lines.append("   ".join(f"{name} {100 * probability:.1f} %" for probability, name in best))
        more = len(self.names) - SHOWN
        return "\n".join([*lines, *([f"… and {more:,} more"] if more > 0 else [])] or ["no images"])


SHOWN = 10
"""Images of a ``Classification`` that ``repr`` lists."""
