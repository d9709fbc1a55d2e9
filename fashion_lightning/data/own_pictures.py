"""A user's own pictures as a data set: prepared once, and kept as one file beside torch's cache.

``own_files.py`` finds them. All are in memory as uint8, as Fashion-MNIST is.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fashion_lightning.data import source
from fashion_lightning.data.classes import ImageSpec
from fashion_lightning.data.own_files import FEWEST, Found, Picture, find
from fashion_lightning.data.split import stratified_order
from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing
from fashion_lightning.files.lock import one_at_a_time
from fashion_lightning.files.pictures import opened, square

PREPARED_BY = 1
"""Changes whenever pictures are prepared in another way."""

TEST_SHARE = 0.15
"""Of the pictures, kept for the test where there is no ``test`` folder."""

MOST_BROKEN = 0.05
"""Share of files that cannot be read and are skipped."""

NAMED = 3
"""Broken files that are named."""


@dataclass(frozen=True)
class OwnPictures:
    """A data set of one's own."""

    tensors: dict[str, Tensor]
    """``train``, ``val`` and ``test`` images ``(N, channels, size, size)`` uint8, and the labels of each, as
    ``train_labels``, ``(N,)`` int64; ``val`` is empty without a folder of that name."""
    images: ImageSpec
    lines: list[str]
    """What there is to say about it."""

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What a run keeps of its training and validation pictures: how many of each class, and a hash."""
        labels = torch.cat([self.tensors["train_labels"], self.tensors["val_labels"]])
        counts = torch.bincount(labels, minlength=len(self.images.class_names)).tolist()
        digest = hashlib.sha256()
        for part in ("train", "val"):
            for name in (part, f"{part}_labels"):
                digest.update(self.tensors[name].numpy().data)
        return {"pictures": dict(zip(self.images.class_names, counts, strict=True)), "sha256": digest.hexdigest()}


@lru_cache(maxsize=1)
def load(folder: Path, size: int | None = None, channels: int | None = None) -> OwnPictures:
    """Read a folder, from the file that an earlier call has kept if nothing in the folder has changed.

    Args:
        folder: class folders, or IDX files.
        size: pixels of each edge; by default 28, of IDX files their own.
        channels: 1 for grey, 3 for colour; by default 1 if the first picture of each class is grey.

    Raises:
        UserError: the folder cannot be used; says in one line why, and what to do.
    """
    found = find(folder)
    size = size or found.size or 28
    firsts = {picture.label: picture for picture in reversed(found.pictures)}
    channels = channels or (1 if all(map(_is_grey, firsts.values())) else 3)
    needed = len(found.pictures) * channels * size**2
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory / 2:
        raise UserError(
            f"The pictures of {folder} need {needed / 1e9:.1f} GB of memory, more than half of this machine's"
            f" {memory / 1e9:.1f} GB. Choose a smaller --data.size than {size}, or leave pictures out."
        )
    key = json.dumps([PREPARED_BY, size, channels, found.key])
    key, place = (hashlib.sha256(text.encode()).hexdigest() for text in (key, f"{folder.resolve()} {size} {channels}"))
    kept = source.user_folder() / "own_pictures" / f"{place[:16]}.safetensors"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(kept.parent):
            if (data := _read_kept(kept, key)) is None:
                data = _prepared(folder, found, size, channels)
                with replacing(kept) as file:
                    told = {"key": key, "images": json.dumps(asdict(data.images)), "lines": json.dumps(data.lines)}
                    save_file(data.tensors, file.name, told)
    except OSError as error:
        raise UserError(f"The prepared pictures cannot be kept in {kept.parent} ({error.strerror}).") from error
    data.lines.append(f"{needed / 1e6:,.1f} MB in memory as {size}x{size} pixels; prepared in {kept}")
    return data


def _read_kept(kept: Path, key: str) -> OwnPictures | None:
    if not kept.is_file():
        return None
    with safe_open(kept, framework="pt") as file:
        told = file.metadata()
        if told["key"] != key:
            return None
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return OwnPictures(tensors, ImageSpec.of(json.loads(told["images"])), json.loads(told["lines"]))


def _prepared(folder: Path, found: Found, size: int, channels: int) -> OwnPictures:
    """Read and reduce all pictures, keep a share for the test where there is none, and check what has come of it."""
    pixels = np.empty((len(found.pictures), size, size, channels), np.uint8)
    read: list[Picture] = []
    broken: list[str] = []
    hidden = not sys.stderr.isatty()
    for picture in track(
        found.pictures, "Preparing pictures", console=Console(stderr=True), transient=True, disable=hidden
    ):
        try:
            pixels[len(read)] = _reduced(picture, size, channels).reshape(size, size, channels)
            read.append(picture)
        except UserError as error:
            broken.append(str(error))
    names = "; ".join(broken[:NAMED]) + ("; …" if len(broken) > NAMED else "")
    if len(broken) > MOST_BROKEN * len(found.pictures):
        raise UserError(
            f"{len(broken):,} of {len(found.pictures):,} files in {folder} cannot be read; up to {MOST_BROKEN:.0%}"
            f" would be skipped. {names}"
        )
    images = torch.from_numpy(pixels[: len(read)]).movedim(-1, 1).contiguous()
    labels = torch.tensor([picture.label for picture in read])
    parts = np.array([picture.part for picture in read])
    lines = [f"Skipped {len(broken):,} of {len(found.pictures):,} files that cannot be read: {names}"] if broken else []
    lines += found.lines
    if "test" not in parts:
        own = np.flatnonzero(parts == "train")
        parts[own[stratified_order(labels[own])[: round(TEST_SHARE * len(own))]]] = "test"
        lines.append(
            f"There is no test folder: {TEST_SHARE:.0%} of each class are kept for `test`, always the same ones."
        )
    tensors: dict[str, Tensor] = {}
    for part in ("train", "val", "test"):
        places = torch.from_numpy(np.flatnonzero(parts == part))
        tensors |= {part: images[places], f"{part}_labels": labels[places]}
    _check(folder, found.class_names, read, tensors["train"])
    if twice := _in_both(tensors["train"], tensors["test"]):
        lines.append(
            f"{twice:,} test pictures are among the training pictures too: the test accuracy will be too high."
        )
    try:
        spec = ImageSpec(found.class_names, size, channels, *_mean_and_std(tensors["train"]))
    except UserError as error:
        raise UserError(f"{folder} cannot be used: {error}.") from error
    return OwnPictures(tensors, spec, lines)


def _is_grey(picture: Picture) -> bool:
    if not isinstance(picture.source, Path):
        return True
    with contextlib.suppress(UserError), opened(picture.source) as file:
        return file.mode.startswith(("1", "L", "I", "F"))
    return True  # which is told when all are read


def _reduced(picture: Picture, size: int, channels: int) -> Any:
    if not isinstance(picture.source, Path):
        return square(Image.fromarray(picture.source), size, channels)
    if not picture.source.is_file():  # a FIFO would be waited for
        raise UserError(f"{picture.source} is no file.")
    with opened(picture.source) as file:
        return square(file, size, channels)


def _check(folder: Path, class_names: Sequence[str], read: Sequence[Picture], train: Tensor) -> None:
    counts = Counter(picture.label for picture in read if picture.part != "test")
    for label, name in enumerate(class_names):
        if counts[label] < FEWEST:
            raise UserError(
                f"The class {name!r} of {folder} has {counts[label]} pictures to train on. Give it {FEWEST} at least,"
                " or take its folder away."
            )
    if (train == train[0]).all():
        raise UserError(f"All pictures in {folder} look the same: there is nothing to learn.")


def _in_both(train: Tensor, test: Tensor) -> int:
    """Count the test pictures that are training pictures as well, pixel by pixel."""
    known = {image.numpy().tobytes() for image in train}
    return sum(image.numpy().tobytes() in known for image in test)


def _mean_and_std(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel, on a scale of 0 to 1, with four digits."""
    moments = torch.zeros(2, images.shape[1], dtype=torch.float64)
    for part in torch.split(images, 1000):
        values = part.double() / 255
        moments += torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
    mean, square_mean = moments * images.shape[1] / images.numel()
    std = (square_mean - mean.square()).sqrt()
    return tuple(round(x, 4) for x in mean.tolist()), tuple(round(x, 4) for x in std.tolist())
