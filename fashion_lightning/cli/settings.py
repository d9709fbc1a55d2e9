"""Settings that no training can mean, refused before anything is made.

Lightning takes most of them and fails after the run folder is made, trains nothing, or worse:
``accumulate_grad_batches=-1`` turns the gradient around.
"""

import math
from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace
from lightning import Trainer

from fashion_lightning.errors import UserError
from fashion_lightning.schedules import RunSchedule, has_length

LOWEST: dict[str, tuple[int, str]] = {
    "trainer.accumulate_grad_batches": (1, "batches in an optimizer step; 1 accumulates none"),
    "trainer.check_val_every_n_epoch": (1, "epochs from one validation to the next"),
    "trainer.gradient_clip_val": (0, "the largest norm of the gradient; 0 and null do not clip"),
    "trainer.limit_train_batches": (0, "batches, or a fraction of them"),
    "trainer.limit_val_batches": (0, "batches, or a fraction of them; 0 leaves validation out"),
    "trainer.limit_test_batches": (0, "batches, or a fraction of them"),
    "trainer.limit_predict_batches": (0, "batches, or a fraction of them"),
    "trainer.log_every_n_steps": (0, "steps from one point to the next; 0 logs epochs only"),
    "trainer.max_epochs": (-1, "epochs; -1 is no limit"),
    "trainer.max_steps": (-1, "optimizer steps; -1 is no limit"),
    "trainer.min_epochs": (0, "epochs; 0 is no minimum"),
    "trainer.min_steps": (0, "optimizer steps; 0 is no minimum"),
    "trainer.num_sanity_val_steps": (-1, "batches; -1 is all"),
    "early_stopping.patience": (0, "validations; 0 stops at the first one without improvement"),
}
"""The least value of a setting, and what it counts."""

NOT_ZERO = ("trainer.max_epochs", "trainer.max_steps", "trainer.limit_train_batches", "trainer.val_check_interval")
"""Settings in which 0 leaves nothing to train on, or divides by it."""

MAY_BE_INFINITE = "model.network."
"""A network of the user's own may take an infinite number."""

NEEDS = {
    "torch.optim.SparseAdam": "gradients that are sparse, which those of layers for images are not",
}
"""Optimizers that can train no network here, and what they need."""


def check_values(config: Namespace, command: str) -> None:
    """Look at the numbers of a config.

    Args:
        config: as it was parsed.
        command: ``fit``, ``validate``, ``test`` or ``predict``.

    Raises:
        UserError: naming the first setting that cannot be meant.
    """
    values = dict(_numbers(config.as_dict()))
    if command != "fit":  # a run that was trained with anything can be evaluated
        values = {name: value for name, value in values.items() if name.startswith("trainer.limit_")}
    for name, value in values.items():
        if math.isnan(value) or (math.isinf(value) and not name.startswith(MAY_BE_INFINITE)):
            raise UserError(f"{name} must be a finite number, not {value}.")
    for name, (lowest, meaning) in LOWEST.items():
        if values.get(name, lowest) < lowest:
            raise UserError(f"{name} must be at least {lowest} ({meaning}), not {values[name]}.")
    for name, value in values.items():
        if name.startswith("model.optimizer.") and name.endswith("lr") and value < 0:
            raise UserError(f"{name} must not be below 0, which would train towards a higher loss: {value}.")
    if command != "fit":
        return
    for name in NOT_ZERO:
        if values.get(name) == 0:
            raise UserError(f"{name} must not be 0: nothing would be trained, or never validated.")
    optimizer = config.get("model.optimizer")
    class_path = optimizer.get("class_path") if isinstance(optimizer, Namespace) else str(optimizer)
    for name, needs in NEEDS.items():
        if str(class_path).startswith("torch.") and str(class_path).endswith(name.rpartition(".")[2]):
            raise UserError(f"{class_path} needs {needs}. Use torch.optim.AdamW, say.")


def _numbers(settings: Any, name: str = "") -> Any:
    """Every number in nested settings, by its dotted name."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from _numbers(value, f"{name}.{key}" if name else str(key))
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _numbers(value, name)
    elif isinstance(settings, int | float) and not isinstance(settings, bool):
        yield name, settings


def check_run(trainer: Trainer, scheduler: object, seconds: float | None, sync_batchnorm: bool = False) -> None:
    """Look at what the Trainer has made of the settings.

    Args:
        trainer: not yet started.
        scheduler: of the learning rate, if there is one.
        seconds: that ``trainer.max_time`` allows.
        sync_batchnorm: whether batch norm is to go over the images of all processes.

    Raises:
        UserError: naming the setting that cannot be meant.
    """
    if trainer.precision == "16-true" and trainer.strategy.root_device.type == "cpu":
        raise UserError("trainer.precision 16-true needs a GPU; on a CPU, use bf16-mixed or 32-true.")
    if sync_batchnorm and trainer.strategy.root_device.type == "cpu":
        raise UserError(
            "trainer.sync_batchnorm needs GPUs, as torch's SyncBatchNorm does; on a CPU, each process normalizes its"
            " own images."
        )
    if seconds is not None and seconds <= 0:
        raise UserError("trainer.max_time must be above 0: days:hours:minutes:seconds, 00:00:30:00 for half an hour.")
    if isinstance(scheduler, RunSchedule) and not has_length(trainer):
        raise UserError(
            f"{type(scheduler).__name__} needs the length of the run: set trainer.max_epochs or trainer.max_steps."
            " trainer.max_time alone is none."
        )


def check_batches(settings: Namespace, train: int, val: int) -> None:
    """Look whether a setting leaves batches to train on, and a validation.

    Args:
        settings: of the Trainer.
        train: batches in an epoch of one process.
        val: batches of a validation.

    Raises:
        UserError: naming the setting.
    """
    if settings["fast_dev_run"]:
        return
    left = {}
    for name, batches in (("train", train), ("val", val)):
        limit = settings[f"limit_{name}_batches"]
        part = 1.0 if limit is None else limit
        left[name] = int(batches * part) if isinstance(part, float) else min(batches, part)
        if part and not left[name]:
            raise UserError(f"trainer.limit_{name}_batches {limit} leaves none of {batches} batches; give more.")
    every = settings["val_check_interval"]
    in_epoch = settings["check_val_every_n_epoch"] is not None
    if isinstance(every, int) and every > left["train"] and in_epoch and left["val"]:
        raise UserError(
            f"trainer.val_check_interval is {every} batches, but an epoch has only {left['train']}: there would be no"
            " validation. Give fewer, or add --trainer.check_val_every_n_epoch null to count across epochs."
        )
