"""Find a user's own pictures: class folders, or IDX files of MNIST's layout."""

import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_lightning.data.idx import read_idx
from fashion_lightning.errors import UserError
from fashion_lightning.files.pictures import is_hidden

Part = Literal["train", "val", "test"]

PARTS: dict[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of folders that hold class folders."""

FEWEST = 5
"""Pictures of a class."""

MOST_FILES = 1_000_000

TABLES = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".arrow", ".npz", ".npy", ".pt", ".zip", ".tar", ".gz")
"""Files in which data sets come, by their suffix, beside pictures."""


class Picture(NamedTuple):
    """A picture of a known class."""

    part: Part
    label: int
    source: Path | NDArray[np.uint8]
    """Its file, or grey levels ``(H, W)``."""


class Found(NamedTuple):
    """What a folder holds."""

    pictures: list[Picture]
    class_names: tuple[str, ...]
    key: list[Any]
    """Name, bytes and time of each file: changes with any of them."""
    size: int | None = None
    """Pixels of each edge, if all pictures have the same."""
    lines: tuple[str, ...] = ()
    """What was passed over."""


def find(folder: Path) -> Found:
    """Find the pictures of a folder.

    Raises:
        UserError: there are none, or they lie otherwise; says how they must.
    """
    if not folder.is_dir():
        raise UserError(f"--data.folder: there is no folder {folder}.")
    folders, files = _entries(folder)
    idx = [file for file in files if "images" in file.name.lower() and "idx3" in file.name.lower()]
    return _idx_files(folder, idx) if idx else _class_folders(folder, folders, files)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder, in the order of their names, without hidden ones."""
    with os.scandir(folder) as entries:
        seen = sorted((entry.name, entry.is_dir()) for entry in entries if not is_hidden(entry.name))
    if len(seen) > MOST_FILES:
        raise UserError(f"{folder} holds {len(seen):,} files; up to {MOST_FILES:,} can be taken.")
    return [folder / name for name, is_dir in seen if is_dir], [folder / name for name, is_dir in seen if not is_dir]


def _class_folders(folder: Path, folders: list[Path], files: list[Path]) -> Found:
    if lying := [file.name for file in files if (mimetypes.guess_type(file.name)[0] or "").startswith("image/")]:
        raise UserError(
            f"{len(lying):,} pictures lie in {folder} itself ({lying[0]}, …): nothing says what they show."
            f" Put them into a folder for each class, as {folder / 'cat' / lying[0]}."
        )
    if not folders:
        tables = [file.name for file in files if file.suffix.lower() in TABLES]
        written = f"Unpack {tables[0]}, or write its pictures as files" if tables else "Put your pictures"
        raise UserError(
            f"{folder} holds no class folders. {written} into a folder for each class: {folder}/cat/1.jpg, …"
        )
    parts = {PARTS[path.name.lower()]: path for path in folders if path.name.lower() in PARTS}
    if "train" in parts and len(parts) < len(folders):
        others = [path.name for path in folders if path not in parts.values()]
        raise UserError(f"{folder} holds {others[0]} beside {parts['train'].name}: move class folders into the latter.")
    parts = parts if "train" in parts else {"train": folder}
    class_names = tuple(path.name for path in _entries(parts["train"])[0])
    _check_names(parts["train"], class_names)
    found: list[tuple[Part, Path]] = []
    for part, place in parts.items():
        for class_folder in _entries(place)[0]:
            if class_folder.name not in class_names:
                raise UserError(
                    f"{class_folder} has no counterpart in {parts['train']}: a class to test is one to train."
                )
            found += [(part, file) for file in _pictures_of(class_folder)]
    if len(found) > MOST_FILES:
        raise UserError(f"{folder} holds {len(found):,} files; up to {MOST_FILES:,} can be taken.")
    key = [[str(file.relative_to(folder)), *_stamp(file)] for _, file in found]
    pictures = [Picture(part, class_names.index(file.parent.name), file) for part, file in found]
    passed = [f"Passed over: {', '.join(file.name for file in files)}"] if files else []
    return Found(pictures, class_names, key, lines=tuple(passed))


def _check_names(folder: Path, class_names: tuple[str, ...]) -> None:
    if len(class_names) < 2:
        only = f"one class only, {class_names[0]}" if class_names else "no class folders"
        raise UserError(f"{folder} holds {only}; a classifier needs two, each in a folder of its own.")
    by_folded: dict[str, str] = {}
    for name in class_names:
        if (other := by_folded.setdefault(name.casefold(), name)) != name:
            raise UserError(
                f"The class folders {other} and {name} of {folder} differ only in case. Rename or join them."
            )


def _pictures_of(class_folder: Path) -> Iterator[Path]:
    folders, files = _entries(class_folder)
    if folders:
        raise UserError(
            f"{folders[0]} is a folder within a class folder. Move its pictures up, or name the folder above it in"
            " --data.folder."
        )
    yield from files


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _idx_files(folder: Path, files: list[Path]) -> Found:
    """Read pairs of files as MNIST has them: ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, say."""
    arrays: dict[Part, tuple[NDArray[Any], NDArray[Any]]] = {}
    names, key = folder / "classes.txt", []
    for file in files:
        begin = file.name.lower().partition("images")[0]
        part: Part = "test" if "t10k" in begin or "test" in begin else "train"
        of_labels = [path for path in folder.iterdir() if path.name.lower().startswith(f"{begin}labels")]
        if part in arrays or len(of_labels) != 1:
            raise UserError(
                f"{folder} holds {len(of_labels)} files of labels for {file.name}, or several files of images to {part}"
                " with. Keep one data set in a folder: images and labels to train with, the same to test with."
            )
        arrays[part] = read_idx(file), read_idx(of_labels[0])
        key += [[path.name, *_stamp(path)] for path in (file, of_labels[0])]
    if "train" not in arrays:
        raise UserError(f"{folder} holds no images to train with, such as train-images-idx3-ubyte.")
    arrays = {part: (images, labels if labels.ndim == 1 else labels[:, 0]) for part, (images, labels) in arrays.items()}
    for images, labels in arrays.values():
        if images.ndim != 3 or images.dtype.itemsize != 1 or labels.shape != images.shape[:1]:
            raise UserError(f"The IDX files in {folder} do not hold as many labels as grey images of one byte a pixel.")
    numbers = np.unique(arrays["train"][1]).tolist()
    class_names = tuple(map(str, numbers))
    if names.is_file():
        key.append([names.name, *_stamp(names)])
        class_names = tuple(line.strip() for line in names.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    if len(class_names) != len(numbers) or not set(np.unique(arrays.get("test", arrays["train"])[1])) <= set(numbers):
        raise UserError(f"{names} or the labels to test with do not fit the {len(numbers)} classes to train with.")
    _check_names(folder, class_names)
    places = {number: place for place, number in enumerate(numbers)}
    pictures = [
        Picture(part, places[label], image)
        for part, (images, labels) in arrays.items()
        for image, label in zip(images.astype(np.uint8), labels.tolist(), strict=True)
    ]
    height, width = arrays["train"][0].shape[1:]
    return Found(pictures, class_names, key, height if height == width and 8 <= height <= 128 else None)
