"""What may change when a run is continued, and when there is nothing left to do."""

from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from torch import Tensor
from torch.optim import LBFGS, Adafactor, Optimizer

from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import Checkpoint


def refuse_changes(checkpoint: Checkpoint, config: dict[str, Any], command: str) -> None:
    """Refuse typed settings that could only be ignored, or would spoil what the checkpoint stands for.

    Args:
        checkpoint: where the run goes on from.
        config: the settings that were asked for, as plain values.
        command: ``fit``, ``validate``, ``test`` or ``predict``.

    Raises:
        UserError: naming the first such setting.
    """
    before: Any = checkpoint.settings
    refused: list[tuple[str, Any, Any, str]] = []

    def compare(name: str, why: str, part: Any = lambda value: value) -> None:
        values = []
        for settings in (before, dict(config)):
            for key in name.split("."):
                settings = settings.get(key) if isinstance(settings, dict) else None
            values.append(part(settings))
        if values[0] != values[1]:
            refused.append((name, *values, why))

    if command in ("fit", "validate"):
        compare("data.val_size", "some images would be both trained and validated on")
    if command == "fit":
        compare("model.optimizer", "the optimizer's state would not fit", _class_path)
        compare("model.scheduler", "the checkpoint's schedule would go on", _what_a_checkpoint_fixes)
        if checkpoint.in_place:
            compare("seed_everything", "the run would end as that of neither seed")
            compare("best_checkpoint", "the record of the best epoch would be lost")
        if checkpoint.batches_of_epoch_done:
            lengths = ("trainer.limit_train_batches", "trainer.accumulate_grad_batches")
            why = "the checkpoint lies within an epoch, whose rest would be another one"
            for name in ("data.batch_size", "data.train_size", "data.prune", *lengths):
                compare(name, why)
    for name, old, new, why in refused:
        raise UserError(
            f"--{name} cannot change from {old} to {new} for {checkpoint.path}: {why}."
            " Leave it as it was, or start a new run without --ckpt_path."
        )


def _class_path(setting: Any) -> Any:
    return setting.get("class_path") if isinstance(setting, dict) else setting


def _what_a_checkpoint_fixes(scheduler: Any) -> Any:
    """The schedules of this package take all but their class from the config, those of torch nothing."""
    own = str(_class_path(scheduler)).startswith("fashion_lightning.")
    return _class_path(scheduler) if own else scheduler


def check_optimizer_state(checkpoint: Checkpoint, optimizer: Optimizer) -> None:
    """Compare a saved optimizer state with the parameters: torch's fused kernels write beyond a smaller tensor.

    Raises:
        UserError: naming the first tensor that does not fit.
    """
    if isinstance(optimizer, LBFGS | Adafactor) or checkpoint.content is None:  # keep tensors of other shapes
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, state in checkpoint.content["optimizer_states"][0]["state"].items():
        for name, value in state.items():
            if not isinstance(value, Tensor):
                continue
            expected = torch.Size() if name in ("step", "eta", "mu") else parameters[index].shape
            if value.shape != expected or not value.is_floating_point():
                raise UserError(
                    f"The optimizer state in {checkpoint.path} is damaged: {name} of parameter {index} is"
                    f" {tuple(value.shape)}, not {tuple(expected)}. To start a new run from its weights:"
                    f" fashion-lightning fit --weights {checkpoint.path}"
                )


def why_finished(checkpoint: Checkpoint, trainer: Trainer, patience: int) -> str | None:
    """Why a run has nothing left to do, and what would make it go on; ``None`` if it has.

    Args:
        checkpoint: where the run would go on from.
        trainer: knows how long it is to train.
        patience: of early stopping.
    """
    path, epochs, steps = checkpoint.path, checkpoint.epochs_done, checkpoint.steps_done or 0
    unchanged = "nothing was changed. To train it longer:"
    if 0 <= trainer.max_steps <= steps:
        return f"{path} has finished its {steps} steps; {unchanged} --trainer.max_steps {2 * steps}"
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epochs:
        return f"{path} has finished its {epochs} epochs; {unchanged} --trainer.max_epochs {2 * epochs}"
    if epochs < (trainer.min_epochs or 0) or steps < (trainer.min_steps or 0):
        return None
    for key, state in checkpoint.callbacks.items():
        if key.startswith("EarlyStopping") and has_asked_to_stop(state, patience):
            more = 2 * max(state["patience"], state["wait_count"])
            return (
                f"{path} was stopped early after {epochs} epochs, by --early_stopping.patience {patience};"
                f" {unchanged} --early_stopping.patience {more}"
            )
    return None


def has_asked_to_stop(state: dict[str, Any], patience: int) -> bool:
    """Whether early stopping has asked for the end of a run, and more patience does not take that back.

    Args:
        state: what ``EarlyStopping`` has left in a checkpoint.
        patience: of the run that goes on.
    """
    has_asked = state["stopping_reason"] != EarlyStoppingReason.NOT_STOPPED.value and patience <= state["patience"]
    return bool(has_asked or state["wait_count"] >= max(patience, 1))


def report_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """The metrics of a finished run's report, from its last checkpoint."""
    callbacks = checkpoint.callbacks
    (best,) = (state["best_metrics"] for key, state in callbacks.items() if key.startswith("BestCheckpoint"))
    return {
        "processes": checkpoint.own["processes"],
        "epochs": checkpoint.epochs_done,
        "steps": checkpoint.steps_done,
        "fit_seconds": callbacks["Timer"]["time_elapsed"]["train"],
        "best": best,
        "last": checkpoint.own["metrics"],
    }
