"""Whether a file holds what a checkpoint of this package holds, before anything is made of it."""

import math
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

from fashion_lightning import __version__
from fashion_lightning.errors import UserError

MAX_VALUES = 200_000
"""Numbers, words and tensors in a checkpoint; the largest network here has 2,000."""

MAX_DEPTH = 20

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
    """Read a checkpoint file as plain values and tensors.

    Raises:
        UserError: the file is torn, is no checkpoint, or is not from this project.
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
    if not isinstance(content, dict) or "fashion_lightning" not in content or "state_dict" not in content:
        raise UserError(
            f"{path} was not written by the fashion-lightning command and holds no config; in Python, use"
            " FashionMNISTClassifier.load_from_checkpoint(path, network=...)."
        )
    if problem := _problem(content):
        raise UserError(f"{path} is not a checkpoint of this package ({problem}).")
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
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing.") from error
    except Exception as error:  # zipfile raises a dozen kinds for damaged bytes
        raise UserError(f"{path} is not a whole checkpoint file ({str(error).lower()}).") from error


def _problem(content: dict[str, Any]) -> str:
    """What is wrong with the parts that this package reads; nothing if they are as it writes them."""
    try:
        _check_plain(content, "")
        _check_version(content["pytorch-lightning_version"])
        _check_weights(content["state_dict"])
        own, loops = content["fashion_lightning"], content["loops"]["fit_loop"]
        for where, name in ((content, "epoch"), (content, "global_step")):
            _count(where[name], name)
        for progress, counts in (
            ("epoch_progress", ("ready", "started", "completed", "processed")),
            ("epoch_loop.batch_progress", ("ready", "started", "completed", "processed")),
        ):
            for count in counts:
                _count(loops[progress]["current"][count], f"{progress} {count}")
        if not isinstance(loops["epoch_loop.batch_progress"]["is_last_batch"], bool):
            return "is_last_batch is no truth value"
        for part in ("version", "name", "config"):
            if not isinstance(own[part], str):
                return f"its {part} is no text"
        if not isinstance(content["callbacks"], dict):
            return "its callbacks are no mapping"
        for key, state in content["callbacks"].items():
            _check_callback(str(key), state)
        _check_metrics(content.get("train_metrics", {}))
    except KeyError as error:
        return f"it lacks {error}"
    except (TypeError, ValueError, AttributeError) as error:
        return " ".join(str(error).split())[:100]
    return ""


def _count(value: Any, name: str) -> None:
    if type(value) is not int or not 0 <= value <= 2**53:
        raise ValueError(f"{name} is no count")


def _check_plain(value: Any, place: str, depth: int = 0, left: list[int] | None = None) -> None:
    """Refuse what is deeper or more than any checkpoint is: one list may hold the same list twice, and so on."""
    left = [MAX_VALUES] if left is None else left
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise ValueError("it holds more values, or deeper ones, than a checkpoint does")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_plain(item, place or str(key), depth + 1, left)
    elif isinstance(value, list | tuple | set):
        for item in value:
            _check_plain(item, place, depth + 1, left)


def _check_version(version: Any) -> None:
    numbers = (
        re.fullmatch(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})[\w.+-]{0,20}", version) if isinstance(version, str) else None
    )
    if not numbers:
        raise ValueError("its Lightning version is none")
    if (int(numbers[1]), int(numbers[2])) < OLDEST_LIGHTNING:
        raise ValueError(f"it was written by Lightning {version}, too old for fashion-lightning {__version__}")


def _check_weights(state: Any) -> None:
    """Tensors as torch saves them: none may be larger than its bytes in the file."""
    import torch

    if not isinstance(state, dict) or not state:
        raise ValueError("it holds no weights")
    for name, tensor in state.items():
        plain = isinstance(name, str) and type(tensor) in (torch.Tensor, torch.nn.Parameter)
        if not plain or tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise ValueError("its weights are no plain tensors")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"{name[:80]} is larger than its bytes")


def _check_callback(key: str, state: Any) -> None:
    """The states that this package reads; Lightning hands the others to whom they belong."""
    if not isinstance(state, dict):
        raise ValueError(f"the state of {key[:40]} is no mapping")
    if key.startswith("BestCheckpoint"):
        if not isinstance(state["best_model_path"], str) or not _is_measured(state["best_metrics"]):
            raise ValueError("its record of the best epoch holds no numbers")
    elif key.startswith("EarlyStopping"):
        _count(state["wait_count"], "the count of early stopping")
    elif key == "Timer" and not all(_is_finite(seconds) for seconds in state["time_elapsed"].values()):
        raise ValueError("its times are no numbers")


def _is_measured(metrics: Any) -> bool:
    return isinstance(metrics, dict) and all(isinstance(key, str) and _is_finite(metrics[key]) for key in metrics)


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


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
    """
    callbacks = content["callbacks"]
    ours = {key: state for key, state in callbacks.items() if str(key).partition("{")[0] in OUR_CALLBACKS}
    return {**{part: content[part] for part in OUR_PARTS if part in content}, "callbacks": ours}
