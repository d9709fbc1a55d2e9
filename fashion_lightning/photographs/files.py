"""Turn a user's images into a network's input: files, tensors, arrays, lists or PIL images."""

import glob
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fashion_lightning.data.batches import channels_first
from fashion_lightning.data.classes import FASHION_MNIST, ImageSpec
from fashion_lightning.errors import UserError
from fashion_lightning.files.pictures import is_hidden, opened, read_each
from fashion_lightning.photographs.prepare import Prepared, prepare

LISTED = Tensor | Image.Image | str | Path
"""Types that a list of images may contain besides numbers and arrays."""


def find_pictures(patterns: list[str]) -> list[Path]:
    """Resolve files, folders and globs to image files, in the given order, each sorted by name.

    Raises:
        UserError: one of them matches nothing, or something that is not a file.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern) if Path(pattern).exists() else Path(pattern).expanduser()  # a name may begin with ~
        matches = (
            [path]
            if path.exists()
            else sorted(
                found  # `**` matches folders, too
                for found in map(Path, glob.glob(str(path), recursive=True))
                if "**" not in pattern or not found.is_dir()
            )
        )
        if path.is_dir():
            # rglob does not follow linked folders; a `*` does.
            files = (file for file in {*path.rglob("*"), *path.glob("*/*")} if file.is_file())
            matches = sorted(file for file in files if not any(map(is_hidden, file.relative_to(path).parts)))
        elif not matches:  # in a folder with a name such as [2024]
            matches = sorted(map(Path, glob.glob(f"{glob.escape(str(path.parent))}/{path.name}")))
        if not matches or not pattern.strip():
            raise UserError(f"--images: there is no image at {pattern!r}.")
        if other := next((match for match in matches if not match.is_file()), None):
            raise UserError(f"--images: {other} is not a file.")  # reading a FIFO would block
        found += matches
    return list(dict.fromkeys(found))


class Photographs(NamedTuple):
    """Image files as network input."""

    paths: list[Path]
    """The files that could be read."""
    images: Tensor
    """``(N, channels, size, size)`` uint8."""
    broken: list[str]
    """The error for each other file, in one line."""


def read_pictures(paths: list[Path], images: ImageSpec = FASHION_MNIST, show_progress: bool = False) -> Photographs:
    """Read and prepare image files one after another, so that only one decoded picture is in memory.

    Raises:
        UserError: none of the files can be read.
    """
    broken: list[str] = []
    read = dict(read_each(paths, lambda path: read_picture(path, images).pixels, broken, show_progress))
    if not read:
        raise UserError("; ".join(broken))
    return Photographs(list(read), channels_first(list(read.values())), broken)


def read_picture(file: Path | BinaryIO, images: ImageSpec = FASHION_MNIST) -> Prepared:
    """Read one image file and prepare it; ``opened`` and ``prepare`` describe arguments and errors."""
    with opened(file) as picture:
        return prepare(picture, images)


def as_batch(images: Any, spec: ImageSpec = FASHION_MNIST) -> Tensor:
    """Convert one or many images to ``(B, 1, 28, 28)``, uint8 or float32 in [0, 1].

    Args:
        images: a tensor, array or nested lists ``(28, 28)``, ``(1, 28, 28)``, ``(B, 28, 28)`` or ``(B, 1, 28, 28)``,
            of integers from 0 to 255 or of floats from 0 to 1; a PIL image of any size, or the path of an image file;
            or a list of any of these.
        spec: the images that the network takes; its size and channels replace the 28 and the 1 in all shapes here.

    Raises:
        UserError: ``images`` is something else, or a file cannot be read; the message says what to give.
    """
    if isinstance(images, list | tuple) and any(isinstance(part, LISTED) for part in images):
        parts = [as_batch(part, spec).cpu() for part in images]
        if len({part.dtype for part in parts}) > 1:  # both files and floats
            parts = [part if part.is_floating_point() else part / 255 for part in parts]
        return torch.cat(parts)
    pixels = _tensor(images, spec)
    shape, one = tuple(pixels.shape), spec.shape
    size, without_channel = one[1:], one[0] == 1 and len(shape) in (2, 3) and shape[-2:] == one[1:]
    if not without_channel and (len(shape) not in (3, 4) or shape[-3:] != one):
        without = f"{size}, (B, {size[0]}, {size[1]}), " if one[0] == 1 else ""
        raise UserError(
            f"Images of shape {shape} cannot be classified: the shape must be {without}{one} or (B, {one[0]}, {one[1]},"
            f" {one[2]}). Pictures of another size or colour: give files or PIL images (Image.fromarray)."
        )
    batch = pixels.reshape(-1, *one)
    if batch.dtype == torch.uint8 or not len(batch):
        return batch.to(torch.uint8)
    low, high = (bound.item() for bound in batch.double().aminmax())  # torch cannot compare all integer types
    if batch.is_floating_point() and 0 <= low <= high <= 1:  # excludes NaN
        return batch.float()
    if not batch.is_floating_point() and batch.dtype != torch.bool and 0 <= low <= high <= 255 and not 0 < high <= 1:
        return batch.to(torch.uint8)
    raise UserError(
        f"Pixels of {str(batch.dtype).removeprefix('torch.')} from {low:g} to {high:g} cannot be classified: give uint8"
        " numbers from 0 to 255, or floats in [0, 1] that are not normalized; black is 0."
    )


def _tensor(images: Any, spec: ImageSpec) -> Tensor:
    """Convert one image, or numbers, to a tensor."""
    if isinstance(images, Tensor):
        return images
    if isinstance(images, Image.Image):
        return channels_first([prepare(images, spec).pixels])
    if isinstance(images, str | Path):
        path = Path(images).expanduser()
        if not path.is_file():  # reading a FIFO would block
            raise UserError(f"There is no image file {path}.")
        return channels_first([read_picture(path, spec).pixels])
    try:
        return torch.from_numpy(np.array(images))
    except (TypeError, ValueError) as error:  # no numbers, or rows of different lengths
        raise UserError(
            f"{type(images).__name__} cannot be classified ({str(error).splitlines()[0][:100]}): give images as a"
            " tensor, an array or lists of equal length, PIL images, or paths of files."
        ) from error
