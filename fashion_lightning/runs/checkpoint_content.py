"""Whether a file holds what a checkpoint of this package holds, before anything is made of it."""

import math
import re
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.runs.allowed_classes import REPEATED
from fashion_lightning.runs.plain_file import check_weights, read_plain

OLDEST_LIGHTNING = (2, 6)
"""Older ones wrote other content; this package never ran with them."""

OUR_PARTS = (
    *("epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states"),
    *("lr_schedulers", "fashion_lightning", "train_metrics", "validation", "MixedPrecision"),
    *("averaging_state", "current_model_state"),  # of an average of the weights
    "FashionMNISTDataModule",  # losses, by which easy images are left out
)
"""What ``fit`` restores of a checkpoint that is not from a run of the user's own."""

OUR_CALLBACKS = (*("BestCheckpoint", "EarlyStopping", "KeepOptimizerSettings", "LastCheckpoint", "Timer", "WeightEMA"),)
"""The callbacks whose states it takes."""

MOST_PROCESSES = 4096
"""Of which a checkpoint may hold the counts."""


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


def _problem(content: dict[str, Any]) -> str:
    """What is wrong with the parts that this package reads; nothing if they are as it writes them."""
    try:
        _check_version(content["pytorch-lightning_version"])
        own = content["fashion_lightning"]
        if not isinstance(own, dict) or not all(isinstance(own[part], str) for part in ("version", "name", "config")):
            return "its origin is no text"
        _check_count(own.get("processes", 1), "the number of processes")
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
        if "averaging_state" in content or "current_model_state" in content:
            check_weights(content["averaging_state"])
            check_weights(content["current_model_state"])
        for part in ("optimizer_states", "lr_schedulers"):
            if not isinstance(content[part], list) or not all(isinstance(state, dict) for state in content[part]):
                return f"its {part} are no list of states"
        if not isinstance(content["callbacks"], dict):
            return "its callbacks are no mapping"
        for key, state in content["callbacks"].items():
            _check_callback(str(key), state)
        _check_metrics(content["train_metrics"])
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


def _check_version(version: Any) -> None:
    numbers = re.fullmatch(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})([.+-]?[a-z0-9]{1,8}){0,3}", str(version), re.ASCII)
    if not isinstance(version, str) or numbers is None:
        raise ValueError("its Lightning version is none")
    if (int(numbers[1]), int(numbers[2])) < OLDEST_LIGHTNING:
        raise ValueError(f"it was written by Lightning {version}, too old for this package")


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
    elif key == "ImagesSeen":
        _check_counts(state["images"], "the number of images")
    elif key == "Timer" and not _are_finite(state["time_elapsed"]):
        raise ValueError("its times are no numbers")


def _are_finite(values: Any) -> bool:
    numbers: Any = values.values() if isinstance(values, dict) else [None]
    return all(type(number) in (int, float) and math.isfinite(number) for number in numbers)


def _check_metrics(saved: Any) -> None:
    """Counts of the epoch so far: of the two training metrics, nothing else of the classifier."""
    import torch

    if type(saved) is not torch.Tensor or saved.dim() != 2 or saved.size(1) != 3 or len(saved) > MOST_PROCESSES:
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
