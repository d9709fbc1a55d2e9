"""Numbers that go wrong stop a run, before they replace good ones."""

import math

from lightning import Trainer
from torch import nn

from fashion_lightning.errors import UserError


def check_loss(trainer: Trainer, name: str, value: float) -> None:
    """Refuse a loss that is NaN or infinite.

    Args:
        trainer: knows the step and the learning rate.
        name: ``training`` or ``validation``.
        value: the loss.
    """
    if not math.isfinite(value):
        raise _error(trainer, f"The {name} loss is {value}")


def check_weights(trainer: Trainer, network: nn.Module) -> None:
    """Refuse weights, or running statistics of batch norm, that are NaN or infinite."""
    for name, values in network.state_dict().items():
        if not values.isfinite().all():
            raise _error(trainer, f"{name} of the network is no longer finite")


def _error(trainer: Trainer, what: str) -> UserError:
    lr = trainer.optimizers[0].param_groups[0]["lr"]
    return UserError(
        f"{what} at step {trainer.global_step}, with a learning rate of {lr:.3g} by now."
        " Lower the optimizer's learning rate, or try --trainer.gradient_clip_val 1."
    )
