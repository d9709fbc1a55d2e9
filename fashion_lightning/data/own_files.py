"""Find a user's own pictures: class folders, or IDX files of MNIST's layout."""

import mimetypes
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_lightning.data.idx import content_of, parse_idx
from fashion_lightning.errors import UserError
from fashion_lightning.files.pictures import is_hidden

PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""The part of the data set that a folder of this name holds."""

MOST_FILES = 1_000_000


class Picture(NamedTuple):
    """A picture of a known class."""

    part: str
    """``train``, ``val`` or ``test``."""
    class_name: str
    source: Path | NDArray[np.uint8]
    """Its file, or grey levels ``(H, W)``."""


def find(folder: Path) -> tuple[list[Picture], tuple[str, ...], list[Any]]:
    """Find the pictures of a folder.

    Returns:
        The pictures, the names of the classes, and name, bytes and time of each file, which show whether one changed.

    Raises:
        UserError: there are none, or they lie in other places; says where they must lie.
    """
    if not folder.is_dir():
        raise UserError(f"--data.folder: there is no folder {folder}.")
    found = {*folder.rglob("*"), *folder.glob("*/*"), *folder.glob("*/*/*")}  # the last two follow linked folders
    places = [path.relative_to(folder) for path in sorted(found) if path.is_file()]
    places = [place for place in places if not any(map(is_hidden, place.parts))]
    if len(places) > MOST_FILES:
        raise UserError(f"{folder} holds {len(places):,} files; up to {MOST_FILES:,} can be taken.")
    idx = [
        folder / place for place in places if len(place.parts) == 1 and "images" in place.name and "idx" in place.name
    ]
    pictures, class_names = _idx_files(folder, idx) if idx else _class_folders(folder, places)
    if len(class_names) < 2:
        raise UserError(f"{folder} holds one class only, {class_names[0]}: a classifier needs two, each in a folder.")
    folded = [name.casefold() for name in class_names]
    if doubled := [name for name in class_names if folded.count(name.casefold()) > 1]:
        raise UserError(
            f"The classes {' and '.join(doubled[:2])} of {folder} differ only in case. Rename or join them."
        )
    status = [(str(place), (folder / place).stat()) for place in places]
    return pictures, class_names, [[name, stat.st_size, stat.st_mtime_ns] for name, stat in status]


def _class_folders(folder: Path, places: list[Path]) -> tuple[list[Picture], tuple[str, ...]]:
    """Find ``<class>/<picture>``, or ``train/<class>/<picture>`` and likewise for ``val`` and ``test``."""
    tops, nested = ({place.parts[0].lower() for place in places if len(place.parts) > depth} for depth in (1, 2))
    # A `train` without class folders is itself a class, unless all other folders are parts, too.
    has_parts = "train" in nested or ("train" in tops and all(top.startswith(("train", "val", "test")) for top in tops))
    expected = folder.joinpath(*["train"] * has_parts, "cat", "1.jpg")
    pictures, class_names = list[Picture](), list[str]()
    for place in places:
        *above, class_name = place.parts[:-1] or ["", ""]
        is_picture = (mimetypes.guess_type(place, strict=False)[0] or "").startswith("image/")
        known = not above if not has_parts else len(above) == 1 and above[0].lower() in PARTS
        if not known and is_picture:
            raise UserError(f"{folder / place} is not directly in a class folder. Place pictures like {expected}.")
        if known:
            part = PARTS[above[0].lower()] if has_parts else "train"
            pictures.append(Picture(part, class_name, folder / place))
            class_names += [class_name] if part == "train" and class_name not in class_names[-1:] else []
    if not class_names:
        files = ", ".join(place.name for place in places[:3])
        raise UserError(
            f"{folder} holds no class folders{f' but {files}' if files else ''}. Put the pictures of each class into a"
            f" folder of its own: {expected}. Extract pictures from tables and archives first."
        )
    folders = (path.relative_to(folder) for path in folder.glob("*/*" if has_parts else "*") if path.is_dir())
    if empty := {
        path.name
        for path in folders
        if not any(map(is_hidden, path.parts)) and (not has_parts or path.parts[0].lower() in PARTS)
    } - {*class_names}:
        raise UserError(f"{folder} has no pictures to train on for the class {min(empty)}. Add some, or remove it.")
    return pictures, tuple(class_names)


def _idx_files(folder: Path, files: list[Path]) -> tuple[list[Picture], tuple[str, ...]]:
    """Read pairs of files as in MNIST, such as ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``."""
    arrays: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for file in files:
        begin = file.name.partition("images")[0]
        part = "test" if "t10k" in file.name or "test" in file.name.lower() else "train"
        pair = [file, *sorted(folder.glob(f"{begin}labels*"))]
        if part in arrays or len(pair) != 2:
            raise UserError(
                f"{folder} needs one file of labels for {file.name} (it has {len(pair) - 1}) and one file of images to"
                f" {part} with. Keep one data set in a folder: training and test files."
            )
        images, labels = (parse_idx(content_of(path), path) for path in pair)
        if images.ndim != 3 or len(labels) != len(images) or images.min(initial=0) < 0 or images.max(initial=0) > 255:
            raise UserError(f"{file} does not hold grey images from 0 to 255, one for each label of {pair[1].name}.")
        arrays[part] = images.astype(np.uint8), labels.reshape(len(labels), -1)[:, 0]  # QMNIST has more columns
    if "train" not in arrays:
        raise UserError(f"{folder} holds no images to train with, such as train-images-idx3-ubyte.")
    numbers = np.unique(np.concatenate([labels for _, labels in arrays.values()])).tolist()
    names, class_names = folder / "classes.txt", list(map(str, numbers))
    if names.is_file():
        class_names = [line.strip() for line in names.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if len(class_names) != len(numbers):
        raise UserError(f"{names} has {len(class_names)} names, but the labels have {len(numbers)} classes.")
    name_of = dict(zip(numbers, class_names, strict=True))
    pictures = [
        Picture(part, name_of[label], image)
        for part, (images, labels) in arrays.items()
        for image, label in zip(images, labels.tolist(), strict=True)
    ]
    return pictures, tuple(class_names)
