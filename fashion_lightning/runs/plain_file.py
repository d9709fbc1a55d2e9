"""A file opened as plain values and tensors: nothing that it names is imported, called or made beyond a list."""

import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError

MAX_VALUES = 200_000
"""Numbers, words and tensors in a checkpoint: far more than any network here has."""

MAX_DEPTH = 20

MAX_PICKLE_STEPS = 10 * MAX_VALUES

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
"""Of tensors that a checkpoint here may hold: real numbers, by the names that torch pickles."""

PICKLED = {
    *("collections OrderedDict", "collections Counter"),  # weights; the milestones of MultiStepLR
    *("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"),
    *(f"torch {kind}Storage" for kind in STORAGES),
}
"""What the pickle in a checkpoint may name. torch's own list is longer: ``bytearray`` and ``Tensor`` turn a number into
that many bytes, ``_codecs.encode`` imports."""

MAX_SHARED = 256 * 2**20
"""Bytes that tensors may stand for beyond those in the file: tied weights are there twice."""


def read_plain(path: Path) -> dict[str, Any]:
    """Read a file that any Trainer may have written: plain values and tensors, weights among them.

    Raises:
        UserError: the file is torn, is no checkpoint, or holds anything else.
    """
    import torch

    _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} holds more than plain values and tensors; it is not opened.") from error
    except Exception as error:  # a zip file, but not one of torch's
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is not a checkpoint ({reason}).") from error
    try:
        if not isinstance(content, dict):
            raise ValueError("it holds no mapping")
        _check_values(content)
        check_weights(content.get("state_dict"))
    except ValueError as error:
        raise UserError(f"{path} is not a checkpoint of this package ({error}).") from error
    return content


def _check_archive(path: Path) -> None:
    """torch writes its records uncompressed: nothing in the file can become more than the file; and it skips sums."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a regular file.")
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                raise zipfile.BadZipFile("it is compressed, which torch's are not")
            if sum(record.file_size for record in records) > path.stat().st_size:
                raise zipfile.BadZipFile("its records overlap")
            if len({record.filename.lower() for record in records}) < len(records):
                raise zipfile.BadZipFile("two of its records have one name")  # torch may take the other one
            damaged = archive.testzip()
            if damaged:
                raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
            for record in records:
                if record.filename.lower().endswith("data.pkl"):
                    _check_pickle(archive.read(record), path)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing.") from error
    except Exception as error:  # zipfile raises a dozen kinds for damaged bytes
        raise UserError(f"{path} is not a whole checkpoint file ({str(error).lower()}).") from error


def _check_pickle(pickled: bytes, path: Path) -> None:
    """Look through the steps of a pickle without taking one: each may make or call only what is on the list."""
    for number, (step, argument, _) in enumerate(pickletools.genops(pickled)):
        if step.name in ("GLOBAL", "STACK_GLOBAL", "INST") and argument not in PICKLED:
            raise UserError(f"{path} holds more than plain values and tensors; it is not opened.")
        if number > MAX_PICKLE_STEPS:
            raise UserError(f"{path} holds more values than a checkpoint does; it is not opened.")


def _check_values(content: Any) -> None:
    """Refuse what is deeper or more than any checkpoint: one list may hold the same list twice, and so on; and tensors
    that are larger than their bytes, over which a program could go on for ever."""
    import torch

    left = MAX_VALUES
    waiting = [(content, 0)]
    storages: dict[int, int] = {}
    stands_for = 0
    while waiting:
        value, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise ValueError("it holds more values, or deeper ones, than a checkpoint does")
        if isinstance(value, torch.Tensor):
            _check_tensor(value)
            storages[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
            stands_for += value.numel() * value.element_size()
        elif isinstance(value, dict):
            if not all(type(key) in (str, int) for key in value):
                raise ValueError("one of its values has no name")
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += [(item, depth + 1) for item in value]
        elif not isinstance(value, bool | int | float | str | None):
            raise ValueError(f"it holds a {type(value).__name__}")
    if stands_for > sum(storages.values()) + MAX_SHARED:
        raise ValueError("its tensors are larger than their bytes")


def _check_tensor(tensor: Any) -> None:
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or tensor.layout != torch.strided or vars(tensor):
        raise ValueError("it holds more than plain tensors")
    if tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_complex():
        raise ValueError("it holds more than plain tensors")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError("one of its tensors is larger than its bytes")


def check_weights(state: Any) -> None:
    """Refuse what is no weights of a network by their names.

    Raises:
        ValueError: what it is instead.
    """
    import torch

    if not isinstance(state, dict) or not state:
        raise ValueError("it holds no weights")
    if not all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()):
        raise ValueError("its weights are no plain tensors")
    # What torch keeps beside the weights: the version of each layer's format.
    notes = vars(state) if hasattr(state, "__dict__") else {}
    layers = notes.get("_metadata", {})
    known = notes.keys() <= {"_metadata"} and isinstance(layers, dict)
    if not known or not all(isinstance(note, dict) and note.keys() <= {"version"} for note in layers.values()):
        raise ValueError("its weights come with more than numbers")
    if not all(type(note.get("version")) in (int, type(None)) for note in layers.values()):
        raise ValueError("its weights come with more than numbers")
