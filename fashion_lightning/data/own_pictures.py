"""A user's own pictures as a data set: prepared once, and kept as one file beside torch's cache.

``own_files.py`` finds them. All are in memory as uint8, as Fashion-MNIST is.
"""

import json
import os
import zlib
from collections import Counter
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fashion_lightning.data import source
from fashion_lightning.data.classes import ImageSpec
from fashion_lightning.data.own_files import Found, Picture, find
from fashion_lightning.data.split import stratified_order
from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing
from fashion_lightning.files.lock import one_at_a_time
from fashion_lightning.files.pictures import opened, read_each, square

TEST_SHARE = 0.15
"""Of the pictures, kept for the test where there is no ``test`` folder."""

FEWEST, MOST_BROKEN = 5, 0.05
"""Pictures of a class to train on; and the share of files that cannot be read and are skipped."""

LOOKED_AT = 2000
"""Training pictures, evenly chosen, that mean and standard deviation are computed of."""


class OwnPictures(NamedTuple):
    """A data set of one's own."""

    tensors: dict[str, Tensor]
    """``train``, ``val`` and ``test`` images ``(N, channels, size, size)`` uint8, and the labels of each, as
    ``train_labels``, ``(N,)`` int64; ``val`` is empty without a folder of that name."""
    images: ImageSpec
    lines: list[str]
    """What there is to say about it."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a run keeps of its training and validation pictures: how many of each class, and checksums."""
        kept = {name: tensor for name, tensor in self.tensors.items() if not name.startswith("test")}
        counts = torch.cat([kept["train_labels"], kept["val_labels"]]).bincount().tolist()
        checksums = {name: zlib.crc32(tensor.numpy()) for name, tensor in kept.items()}
        return {"pictures": dict(zip(self.images.class_names, counts, strict=True)), **checksums}


@lru_cache(maxsize=1)
def load(folder: Path, size: int | None = None, channels: int | None = None) -> OwnPictures:
    """Read a folder, from the file that an earlier call has kept if nothing in the folder has changed.

    Args:
        folder: class folders, or IDX files.
        size: pixels of each edge; by default 28, of IDX files their own.
        channels: 1 for grey, 3 for colour; by default 3, of IDX files 1.

    Raises:
        UserError: the folder cannot be used; says in one line why, and what to do.
    """
    found = find(folder)
    first = found.pictures[0].source
    size = size or (28 if isinstance(first, Path) else min(128, max(8, *first.shape)))
    channels = channels or (3 if isinstance(first, Path) else 1)
    needed = len(found.pictures) * channels * size**2
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory / 2:
        raise UserError(
            f"The pictures of {folder} need {needed / 1e9:.1f} GB of memory, more than half of this machine's"
            f" {memory / 1e9:.1f} GB. Choose a smaller --data.size than {size}, or leave pictures out."
        )
    key = json.dumps([1, str(folder.resolve()), size, channels, found.key])  # 1: as `square` prepares
    kept = source.user_folder() / "own_pictures" / f"{zlib.crc32(key[: key.index('[', 1)].encode()):08x}.pt"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(kept.parent):
            content = torch.load(kept, weights_only=True) if kept.is_file() else {}
            if content.get("key") != key:
                content = {"key": key, **_prepared(folder, found, size, channels)}
                with replacing(kept) as file:
                    torch.save(content, file)
    except OSError as error:
        raise UserError(f"The prepared pictures cannot be kept in {kept.parent} ({error.strerror}).") from error
    told = f"{needed / 1e6:,.1f} MB in memory as {size}x{size} pixels; prepared in {kept}"
    return OwnPictures(content["tensors"], ImageSpec.of(content["images"]), [*content["lines"], told])


def _prepared(folder: Path, found: Found, size: int, channels: int) -> dict[str, Any]:
    """Read and reduce all pictures, keep a share for the test where there is none, and check what has come of it."""
    pixels = np.empty((len(found.pictures), size, size, channels), np.uint8)
    read, lines = [], []
    broken: list[str] = []
    for picture, reduced in read_each(found.pictures, lambda picture: _reduced(picture, size, channels), broken):
        pixels[len(read)] = reduced.reshape(size, size, channels)
        read.append(picture)
    if broken:
        lines.append(f"{len(broken):,} of {len(found.pictures):,} files cannot be read: {'; '.join(broken[:3])}")
    if len(broken) > MOST_BROKEN * len(found.pictures):
        raise UserError(f"{folder}: {lines[0]}. Up to {MOST_BROKEN:.0%} would be skipped.")
    images = torch.from_numpy(pixels[: len(read)]).movedim(-1, 1).contiguous()
    labels = torch.tensor([found.class_names.index(picture.class_name) for picture in read])
    parts = np.array([picture.part for picture in read])
    if "test" not in parts:
        own = np.flatnonzero(parts == "train")
        parts[own[stratified_order(labels[own])[: round(TEST_SHARE * len(own))]]] = "test"
        lines.append(f"No test folder: {TEST_SHARE:.0%} of each class are kept for `test`, always the same ones.")
    tensors: dict[str, Tensor] = {}
    for part in ("train", "val", "test"):
        places = torch.from_numpy(np.flatnonzero(parts == part))
        tensors |= {part: images[places], f"{part}_labels": labels[places]}
    counts = Counter(tensors["train_labels"].tolist())
    if few := [name for label, name in enumerate(found.class_names) if counts[label] < FEWEST]:
        raise UserError(
            f"The class {few[0]} of {folder} has fewer than {FEWEST} pictures to train on. Give it more, or take its"
            " folder away."
        )
    train = tensors["train"]
    if (train == train[0]).all():
        raise UserError(f"All pictures in {folder} look the same: there is nothing to learn.")
    known = {image.numpy().tobytes() for image in train}
    if twice := sum(image.numpy().tobytes() in known for image in tensors["test"]):
        lines.append(f"{twice:,} test pictures are training pictures too: the test accuracy will be too high.")
    looked_at = train[:: -(-len(train) // LOOKED_AT)].double() / 255
    moments = (looked_at.mean((0, 2, 3)), looked_at.std((0, 2, 3)))
    mean, std = (tuple(round(value, 4) for value in moment.tolist()) for moment in moments)
    try:
        spec = ImageSpec(found.class_names, size, channels, mean, std)
    except UserError as error:
        raise UserError(f"{folder} cannot be used: {error}.") from error
    return {"tensors": tensors, "images": asdict(spec), "lines": lines}


def _reduced(picture: Picture, size: int, channels: int) -> NDArray[np.uint8]:
    if not isinstance(picture.source, Path):
        return square(Image.fromarray(picture.source), size, channels)
    with opened(picture.source) as file:
        return square(file, size, channels)
