"""Prepare a user's own pictures as a data set, once, and keep them as one file beside torch's cache.

``own_files.py`` finds them. They are all in memory as uint8, like Fashion-MNIST.
"""

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fashion_lightning.data import source
from fashion_lightning.data.batches import channels_first
from fashion_lightning.data.classes import ImageSpec
from fashion_lightning.data.own_files import Picture, find
from fashion_lightning.data.split import stratified_order
from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing
from fashion_lightning.files.lock import one_at_a_time
from fashion_lightning.files.pictures import formats, opened, read_each, square

TEST_SHARE = 0.15
"""Share of the pictures to keep for ``test`` if there is no ``test`` folder."""

FEWEST, MOST_BROKEN = 5, 0.05
"""Fewest training pictures of a class, and the largest share of unreadable files, which are skipped."""


class OwnPictures(NamedTuple):
    """A data set of a user's own pictures."""

    splits: dict[str, tuple[Tensor, Tensor]]
    """For ``train`` and ``test``: images ``(N, channels, size, size)`` uint8, and labels ``(N,)`` int64."""
    validation: int
    """Number of images from a ``val`` folder, which come last in ``train``; 0 without such a folder."""
    images: ImageSpec
    lines: list[str]
    """Messages to print about it."""
    files: list[str]
    """The file of each test picture, relative to the folder; its number in an IDX file."""
    is_drawn: bool
    """Whether the test pictures were drawn from the training pictures; one picture more or less changes the draw."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Return class sizes and checksums of training and validation pictures, by which a run recognizes its data."""
        counts = torch.bincount(self.splits["train"][1], minlength=len(self.images.class_names)).tolist()
        checksums = [zlib.crc32(tensor.numpy().data) for tensor in self.splits["train"]]
        return {"pictures": dict(zip(self.images.class_names, counts, strict=True)), "checksums": checksums}


def load(folder: Path, size: int | None = None, channels: int | None = None) -> OwnPictures:
    """Read a folder; use the file that an earlier call wrote, unless the folder has changed since.

    Args:
        folder: class folders, or IDX files.
        size: pixels of each edge; by default 28, for IDX files that of their images.
        channels: 1 for grey, 3 for colour; by default 3, for IDX files 1.

    Raises:
        UserError: the folder cannot be used; says why, and what to do.
    """
    pictures, class_names, files = find(folder)
    first = pictures[0].source
    size = (28 if isinstance(first, Path) else min(128, max(8, *first.shape))) if size is None else size
    channels = channels or (3 if isinstance(first, Path) else 1)
    try:
        images = ImageSpec(class_names, size, channels, (0.5,) * channels, (0.5,) * channels)
    except UserError as error:
        raise UserError(f"{folder} cannot be used with --data.size {size}: {error}.") from error
    needed = len(pictures) * channels * size**2
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory / 2:
        raise UserError(
            f"The pictures of {folder} need {needed / 1e9:.1f} GB of memory, more than half of this machine's"
            f" {memory / 1e9:.1f} GB. Choose a smaller --data.size than {size}, or leave pictures out."
        )
    version = 4  # of the preparation and of the file's format
    place, key = (
        json.dumps([version, str(folder.resolve()), size, channels, *more]) for more in ([], [*files, formats()])
    )
    kept = source.user_folder() / "own_pictures" / f"{zlib.crc32(place.encode()):08x}.pt"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(kept.parent):
            content = torch.load(kept, weights_only=True) if kept.is_file() else {}
            if content.get("key") != key:
                content = {"key": key, **_prepared(folder, pictures, images)}
                with replacing(kept) as file:
                    torch.save(content, file)
    except OSError as error:
        raise UserError(
            f"The prepared pictures cannot be kept in {kept.parent} ({error.strerror}). Set another TORCH_HOME."
        ) from error
    told = f"{needed / 1e6:,.1f} MB in memory as {size}x{size} pixels; prepared in {kept}"
    images = replace(images, mean=content["mean"], std=content["std"])
    return OwnPictures(
        content["splits"],
        content["validation"],
        images,
        [*content["lines"], told],
        content["files"],
        content["is_drawn"],
    )


def _prepared(folder: Path, found: Sequence[Picture], spec: ImageSpec) -> dict[str, Any]:
    """Read and reduce all pictures, split off test pictures if there are none, and check the result."""
    label_of = {name: label for label, name in enumerate(spec.class_names)}
    by_part = {part: [picture for picture in found if picture.part == part] for part in ("train", "val", "test")}
    lines, broken, is_drawn = list[str](), list[str](), not by_part["test"]
    if is_drawn:
        order = stratified_order(torch.tensor([label_of[picture.class_name] for picture in by_part["train"]])).tolist()
        for_test = {*order[: round(TEST_SHARE * len(order))]}
        by_part["test"] = [by_part["train"][place] for place in sorted(for_test)]
        by_part["train"] = [picture for place, picture in enumerate(by_part["train"]) if place not in for_test]
        lines.append(f"No test folder: {TEST_SHARE:.0%} of each class is kept for `test`.")
    splits, validation = {}, 0
    for split, pictures in (("train", by_part["train"] + by_part["val"]), ("test", by_part["test"])):
        images, kept = torch.empty((len(pictures), *spec.shape), dtype=torch.uint8), list[Picture]()
        for picture, reduced in read_each(pictures, lambda picture: _reduced(picture, spec), broken):
            images[len(kept)] = channels_first([reduced])[0]
            kept.append(picture)
        splits[split] = images[: len(kept)], torch.tensor([label_of[picture.class_name] for picture in kept])
        validation += sum(picture.part == "val" for picture in kept)
    if broken:
        lines.append(f"{len(broken):,} of {len(found):,} files cannot be read: {'; '.join(broken[:3])}")
    if len(broken) > MOST_BROKEN * len(found):
        raise UserError(f"{folder}: {lines[-1]}. Up to {MOST_BROKEN:.0%} may be unreadable.")
    train, test = splits["train"][0], splits["test"][0]
    in_training = splits["train"][1][: len(train) - validation].bincount(minlength=len(label_of)).tolist()
    if few := [name for name, count in zip(spec.class_names, in_training, strict=True) if count < FEWEST]:
        raise UserError(
            f"The class {few[0]} of {folder} has fewer than {FEWEST} pictures to train on. Add some, or remove its"
            " folder."
        )
    if all(torch.equal(image, train[0]) for image in train):
        raise UserError(f"All pictures in {folder} look the same: there is nothing to learn.")
    known = {hash(image.numpy().tobytes()) for image in train}
    if twice := sum(hash(image.numpy().tobytes()) in known for image in test):
        lines.append(f"{twice:,} test pictures are training pictures too: the test accuracy will be too high.")
    looked_at = train[:: -(-len(train) // 2000)].float() / 255  # at most 2,000, evenly spaced
    moments = (looked_at.mean((0, 2, 3)), looked_at.std((0, 2, 3)))
    mean, std = (tuple(round(max(value, 0.001), 4) for value in moment.tolist()) for moment in moments)
    files = [  # of the test pictures, which came last
        str(picture.source.relative_to(folder)) if isinstance(picture.source, Path) else str(number)
        for number, picture in zip(sorted(for_test) if is_drawn else range(len(kept)), kept, strict=False)
    ]
    return {
        "splits": splits,
        "validation": validation,
        "mean": mean,
        "std": std,
        "lines": lines,
        "files": files,
        "is_drawn": is_drawn,
    }


def _reduced(picture: Picture, spec: ImageSpec) -> NDArray[np.uint8]:
    if not isinstance(picture.source, Path):
        return square(Image.fromarray(picture.source), spec.size, spec.channels)
    with opened(picture.source) as file:
        return square(file, spec.size, spec.channels)
