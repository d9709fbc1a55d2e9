"""Whether a file holds what a checkpoint of this package holds, before anything is made of it."""

import math
import pickle
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.runs.allowed_classes import REPEATED

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

OLDEST_LIGHTNING = (2, 6)
"""Older ones wrote other content; this package never ran with them."""

OUR_PARTS = (
    *("epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states"),
    *("lr_schedulers", "fashion_lightning", "train_metrics", "validation", "MixedPrecision"),
    *("averaging_state", "current_model_state"),  # of an average of the weights
)
"""What ``fit`` restores of a checkpoint that is not from a run of the user's own."""

OUR_CALLBACKS = (*("BestCheckpoint", "EarlyStopping", "KeepOptimizerSettings", "LastCheckpoint", "Timer", "WeightEMA"),)
"""The callbacks whose states it takes."""

METRIC_STATES = {"train_loss": {"mean_value", "weight"}, "train_accuracy": {"tp", "fp", "tn", "fn"}}
"""What torchmetrics' mean and accuracy count."""


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint file of the command as plain values and tensors.

    Raises:
        UserError: the file is torn, is no checkpoint, or is not from this project.
    """
    content = read_plain(path)
    if "fashion_lightning" not in content:
        raise UserError(
            f"{path} was not written by the fashion-lightning command and holds no config; in Python, use"
            " FashionMNISTClassifier.load_from_checkpoint(path, network=...)."
        )
    if isinstance(own := content["fashion_lightning"], dict):
        own.setdefault("metrics", own.pop("figures", {}))  # what version 0.1 called them
    if problem := _problem(content):
        raise UserError(f"{path} is not a checkpoint of this package ({problem}).")
    return content


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
        _check_weights(content.get("state_dict"))
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


def _problem(content: dict[str, Any]) -> str:
    """What is wrong with the parts that this package reads; nothing if they are as it writes them."""
    try:
        _check_version(content["pytorch-lightning_version"])
        own = content["fashion_lightning"]
        if not isinstance(own, dict) or not all(isinstance(own[part], str) for part in ("version", "name", "config")):
            return "its origin is no text"
        if not _are_finite(own["metrics"]):
            return "its metrics are no numbers"
        for name in ("epoch", "global_step"):
            _check_counts(content[name], name)
        _check_counts(content["loops"], "loops")
        for progress in ("epoch_progress", "epoch_loop.batch_progress"):
            for count in ("ready", "started", "completed", "processed"):
                for since in ("current", "total"):
                    _check_count(_inside(content, "loops", "fit_loop", progress, since, count), count)
        _check_counts(_inside(content, "loops", "fit_loop", progress, "is_last_batch"), "is_last_batch")
        if "averaging_state" in content:
            _check_weights(content["averaging_state"])
            _check_weights(content["current_model_state"])
        for part in ("optimizer_states", "lr_schedulers"):
            if not isinstance(content[part], list) or not all(isinstance(state, dict) for state in content[part]):
                return f"its {part} are no list of states"
        if not isinstance(content["callbacks"], dict):
            return "its callbacks are no mapping"
        for key, state in content["callbacks"].items():
            _check_callback(str(key), state)
        _check_metrics(content.get("train_metrics", {}))
    except KeyError as error:
        return f"it lacks {error}"
    except Exception as error:  # whatever a value of another kind raises when it is looked into, a tensor for a mapping
        return (" ".join(str(error).split()) or type(error).__name__)[:100]
    return ""


def _inside(value: Any, *keys: str) -> Any:
    """What stands there in nested mappings."""
    for key in keys:
        if not isinstance(value, dict):
            raise ValueError(f"{key} stands in no mapping")
        value = value[key]
    return value


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


def _check_version(version: Any) -> None:
    numbers = re.fullmatch(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})([.+-]?[a-z0-9]{1,8}){0,3}", str(version), re.ASCII)
    if not isinstance(version, str) or numbers is None:
        raise ValueError("its Lightning version is none")
    if (int(numbers[1]), int(numbers[2])) < OLDEST_LIGHTNING:
        raise ValueError(f"it was written by Lightning {version}, too old for this package")


def _check_weights(state: Any) -> None:
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


def _check_counts(value: Any, name: str) -> None:
    """Refuse what is no count or truth value, nor a mapping of such."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_counts(item, str(key)[:40])
    else:
        _check_count(value, name)


def _check_count(value: Any, name: str) -> None:
    if type(value) not in (bool, int) or not 0 <= value <= 2**53:
        raise ValueError(f"{name} is no count")


def _check_callback(key: str, state: Any) -> None:
    """The states that this package reads; Lightning hands the others to whom they belong."""
    if not isinstance(state, dict):
        raise ValueError(f"the state of {key[:40]} is no mapping")
    if key.startswith("BestCheckpoint"):
        if not isinstance(state["best_model_path"], str) or not _are_finite(state["best_metrics"]):
            raise ValueError("its record of the best epoch holds no numbers")
    elif key.startswith("EarlyStopping"):
        _check_counts(state["wait_count"], "the count of early stopping")
        _check_counts(state["stopped_epoch"], "the last epoch of early stopping")
        _check_counts(state["patience"], "the patience of early stopping")
        _check_counts(state["stopping_reason"], "the reason of early stopping")
        if state["best_score"].numel() != 1:
            raise ValueError("the best score of early stopping is no number")
    elif key == "WeightEMA":
        _check_count(state["latest_update_step"], "the last update of the average")
    elif key == "StepPlateauSchedule" and type(state["val_loss"]) is not float:
        raise ValueError("its validation loss is no number")
    elif key == "CurvesByImages":
        _check_counts(state["images"] or 0, "the number of images")
    elif key == "Throughput" and not _are_finite(state):
        raise ValueError("its speed is no number")
    elif key == "Timer" and not _are_finite(state["time_elapsed"]):
        raise ValueError("its times are no numbers")


def _are_finite(values: Any) -> bool:
    numbers: Any = values.values() if isinstance(values, dict) else [None]
    return all(type(number) in (int, float) and math.isfinite(number) for number in numbers)


def _check_metrics(saved: Any) -> None:
    """Counts of the epoch so far: of the two training metrics, nothing else of the classifier."""
    import torch

    if not isinstance(saved, dict):
        raise ValueError("its training metrics are no mapping")
    for name, state in saved.items():
        if name not in METRIC_STATES or not isinstance(state, dict) or state.keys() != METRIC_STATES[name]:
            raise ValueError("its training metrics are others")
        if not all(type(count) is torch.Tensor and count.numel() == 1 for count in state.values()):
            raise ValueError("its training metrics are no counts")


def numbers_only(content: dict[str, Any]) -> dict[str, Any]:
    """What ``fit`` takes of a stranger's checkpoint: the parts that this package writes, and states of its callbacks.

    Lightning restores whatever else it finds, such as the folders of checkpoint callbacks.

    Raises:
        UserError: the end of a sentence about the checkpoint: a setting of its optimizer is none.
    """
    for state in content["optimizer_states"]:
        groups = state.get("param_groups")
        if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
            raise UserError("its optimizer has no groups of parameters")
        for name, value in (setting for group in groups for setting in group.items()):
            if not _is_setting(value) or (isinstance(value, int) and value > REPEATED.get(f"optimizer.{name}", value)):
                raise UserError(f"its optimizer's {name[:40]} is {str(value)[:40]!r}, which cannot be meant")
    callbacks = content["callbacks"]
    ours = {key: state for key, state in callbacks.items() if str(key).partition("{")[0] in OUR_CALLBACKS}
    return {**{part: content[part] for part in OUR_PARTS if part in content}, "callbacks": ours}


def _is_setting(value: Any) -> bool:
    """Whether an optimizer may hold it: a finite number, a word, or a list of them."""
    if isinstance(value, list | tuple):
        return all(map(_is_setting, value))
    if isinstance(value, int | float):
        return abs(value) <= 2**53
    return value is None or (isinstance(value, str) and len(value) <= 200)
