"""Check what changed since a run stopped, and whether there is anything left to train."""

from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from torch import Tensor
from torch.optim import LBFGS, Adafactor, Optimizer

from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.runs.folder import as_typed

OF_AN_EPOCH = (
    *("data.batch_size", "data.train_size", "data.prune", "data.balanced"),
    *("trainer.limit_train_batches", "trainer.accumulate_grad_batches"),
)
"""Settings that decide which batches an epoch consists of."""


def refuse_changes(checkpoint: Checkpoint, config: dict[str, Any], command: str) -> None:
    """Refuse changed settings that a command would have to ignore, or that would spoil the run.

    Raises:
        UserError: names the first such setting.
    """
    is_fit = command == "fit"
    in_place = is_fit and checkpoint.in_place
    within_epoch = is_fit and checkpoint.batches_of_epoch_done
    rules = (
        (command != "predict", ("data.val_size", "data.fold"), "some images would be both trained and validated on"),
        (is_fit, ("model.optimizer",), "the optimizer's state would not fit"),
        (is_fit, ("model.scheduler",), "the checkpoint's schedule would go on"),
        (is_fit, ("trainer.fast_dev_run",), "a run of a few batches would replace its results"),
        (in_place, ("seed_everything",), "the run would mix two seeds"),
        (in_place, ("best_checkpoint",), "the record of the best epoch would be lost"),
        (within_epoch, OF_AN_EPOCH, "the checkpoint is from within an epoch, and the rest of that epoch would change"),
    )
    for name, why in ((name, why) for applies, names, why in rules if applies for name in names):
        before, after = (_fixed(settings, name) for settings in (checkpoint.settings, config))
        if before != after:
            raise UserError(
                f"--{name} cannot change from {before} to {after} for {checkpoint.path}: {why}."
                f" Leave it as it was{', or start a new run without --ckpt_path' if is_fit else ''}."
            )


def refuse_other_pictures(checkpoint: Checkpoint, now: dict[str, Any], advice: str = "") -> None:
    """Refuse to continue on other data than before; ``now`` is the data's ``fingerprint``.

    Raises:
        UserError: says what changed.
    """
    before = checkpoint.own.get("data", now) if checkpoint.is_own else now
    if before != now:
        counts, counts_now = before.get("pictures", {}), now.get("pictures", {})
        changed = [
            f"{name!r} has {counts_now.get(name, 0):,}, not {counts.get(name, 0):,}"
            for name in {**counts, **counts_now}
            if counts_now.get(name, 0) != counts.get(name, 0)
        ]
        what = ", ".join(changed[:5]) or "as many of each class, but not the same ones"
        raise UserError(
            f"The pictures are not those that {checkpoint.path} was trained on ({what}). Bring those back{advice}, or"
            f" start a new run: fit --weights {as_typed(checkpoint.path)}"
        )


def _fixed(settings: Any, name: str) -> Any:
    """Return the fixed part of a setting: the class for an optimizer or our own classes, else all of it."""
    for key in name.split("."):
        settings = settings.get(key) if isinstance(settings, dict) else None
    path = settings.get("class_path") if isinstance(settings, dict) else None
    takes_arguments = name == "model.optimizer" or str(path).startswith("fashion_lightning.")
    return path if path and takes_arguments else settings


def check_optimizer_state(checkpoint: Checkpoint, optimizer: Optimizer) -> None:
    """Check that a saved optimizer state fits the parameters: torch's fused kernels write past a smaller tensor.

    Raises:
        UserError: names the first tensor that does not fit.
    """
    if isinstance(optimizer, LBFGS | Adafactor) or not checkpoint.is_own:  # whose state has other shapes
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, state in checkpoint.content["optimizer_states"][0]["state"].items():
        for name, value in state.items():
            expected = torch.Size() if name in ("step", "eta", "mu", "mu_product") else parameters[index].shape
            if isinstance(value, Tensor) and (value.shape != expected or not value.is_floating_point()):
                raise UserError(
                    f"The optimizer state in {checkpoint.path} does not fit this network: {name} of parameter {index}"
                    f" is {tuple(value.shape)}, not {tuple(expected)}. To start a new run from its weights:"
                    f" fashion-lightning fit --weights {as_typed(checkpoint.path)}"
                )


def why_finished(checkpoint: Checkpoint, trainer: Trainer, patience: int) -> str | None:
    """Return why a run is finished, and how to train it longer; ``None`` if it is unfinished."""
    path, epochs, steps = checkpoint.path, checkpoint.epochs_done, checkpoint.steps_done or 0
    unchanged = "nothing was changed. To train it longer:"
    if 0 <= trainer.max_steps <= steps:
        return f"{path} has finished its {steps} steps; {unchanged} --trainer.max_steps {2 * steps}"
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epochs:
        return f"{path} has finished its {epochs} epochs; {unchanged} --trainer.max_epochs {2 * epochs}"
    if epochs < (trainer.min_epochs or 0) or steps < (trainer.min_steps or 0):
        return None
    limits = [timer.time_remaining() for timer in trainer.callbacks if isinstance(timer, Timer)]  # type: ignore[attr-defined]
    used = checkpoint.content["callbacks"]["Timer"]["time_elapsed"]["train"]
    if any(limit is not None and limit <= used for limit in limits):
        return f"{path} was ended by trainer.max_time after {used:.0f} s; {unchanged} --trainer.max_time DD:HH:MM:SS"
    for key, state in checkpoint.content["callbacks"].items():
        if key.startswith("EarlyStopping") and has_asked_to_stop(state, patience):
            return (
                f"{path} was stopped early after {epochs} epochs, by --early_stopping.patience {patience};"
                f" {unchanged} --early_stopping.patience {2 * max(state['patience'], state['wait_count'])}"
            )
    return None


def has_asked_to_stop(state: dict[str, Any], patience: int) -> bool:
    """Check by its state whether early stopping asked to stop, and still would with this ``patience``."""
    has_asked = state["stopping_reason"] != EarlyStoppingReason.NOT_STOPPED.value and patience <= state["patience"]
    return bool(has_asked or state["wait_count"] >= max(patience, 1))


def report_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the content of a finished run's ``fit.json``, as far as its last checkpoint has it."""
    callbacks = checkpoint.content["callbacks"]
    (best,) = (state["best_metrics"] for key, state in callbacks.items() if key.startswith("BestCheckpoint"))
    return {
        "processes": checkpoint.own["processes"],
        "epochs": checkpoint.epochs_done,
        "steps": checkpoint.steps_done,
        "fit_seconds": callbacks["Timer"]["time_elapsed"]["train"],
        "best": best,
    }
