"""Learning-rate schedules that take their length from the Trainer.

Each is a function of the completed fraction of the run, evaluated at each step. It needs no length when it is built,
and its length is not saved. (``trainer.estimated_stepping_batches`` would give the length, but loads the
data too early for an exact resume: Lightning issue 20550.)
"""

import math
from abc import abstractmethod
from typing import Any

from lightning import Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fashion_lightning.errors import UserError


class RunSchedule(LRScheduler):
    """Base class: linear warm-up, then ``decay``; stepped at each optimizer step.

    Args:
        optimizer: the optimizer whose learning rates are scaled.
        warmup: fraction of the run in which the learning rate rises from 0 to its full value.
        final: factor of the learning rate at the end of the run.
    """

    def __init__(self, optimizer: Optimizer, warmup: float = 0.0, final: float = 0.0) -> None:
        if not (0 <= warmup < 1 and 0 <= final <= 1):
            raise ValueError(f"warmup must be in [0, 1) and final in [0, 1], not {warmup} and {final}")
        self.warmup, self.final = warmup, final
        self.total_steps = 0  # of the run; the classifier sets it when training begins
        super().__init__(optimizer)

    @abstractmethod
    def decay(self, fraction: float) -> float:
        """Return a factor that falls from 1 to 0 while the completed ``fraction`` of the decay rises from 0 to 1."""

    def factor(self, fraction: float) -> float:
        """Return the factor of the learning rates when ``fraction`` of the run is completed."""
        if fraction < self.warmup:
            return fraction / self.warmup
        fraction = min(1.0, (fraction - self.warmup) / (1 - self.warmup))
        return self.final + (1 - self.final) * self.decay(fraction)

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate of each parameter group at this step."""
        step = self.last_epoch  # torch's name for the step count
        fraction = step / self.total_steps if step else 0.0
        return [float(base_lr) * self.factor(fraction) for base_lr in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Return all state except the settings, which are in the config, and the length, which the Trainer knows."""
        return {key: getattr(self, key) for key in ("last_epoch", "base_lrs", "_step_count", "_last_lr")}


class LinearDecay(RunSchedule):
    """Warm-up, then a straight line."""

    def decay(self, fraction: float) -> float:
        return 1 - fraction


class CosineDecay(RunSchedule):
    """Warm-up, then half a cosine (https://arxiv.org/abs/1608.03983)."""

    def decay(self, fraction: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * fraction))


def check_length(trainer: Trainer) -> None:
    """Check that the run has a number of epochs or steps; a schedule cannot follow a time limit.

    Raises:
        UserError: it has neither.
    """
    if max(trainer.max_steps, trainer.max_epochs or 0) <= 0:
        raise UserError("This schedule needs the length of the run: set trainer.max_epochs or trainer.max_steps.")


def steps_of_run(trainer: Trainer) -> int:
    """Return the optimizer steps after which the Trainer will end the run.

    Raises:
        UserError: the run has no number of epochs or steps.
    """
    check_length(trainer)
    steps_per_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    # Count from this epoch's first step: earlier epochs may have had another batch size or number of processes.
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress
    begun = 0 if batches.is_last_batch else batches.current.processed // trainer.accumulate_grad_batches
    limits = (
        trainer.max_steps,
        trainer.global_step - begun + (trainer.max_epochs - trainer.current_epoch) * steps_per_epoch
        if trainer.max_epochs and trainer.max_epochs > 0
        else -1,
    )
    return int(min(limit for limit in limits if limit > 0))
