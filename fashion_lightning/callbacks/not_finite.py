"""Numbers that go wrong stop a run, before they replace good ones."""

import math
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.errors import UserError


class NotFinite(UserError):
    """The training has diverged."""


class StopWhenNotFinite(Callback):
    """Ends a fit whose loss or weights are NaN or infinite; no checkpoint is written then.

    The training loss is looked at where it is logged, the validation loss after each validation, and the
    weights with the running statistics of batch norm before each checkpoint: to look at a number on a GPU
    is to wait for it.

    Raises:
        NotFinite: naming the number, the step and the learning rate.
    """

    def __init__(self) -> None:
        self.training_loss: Tensor | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.training_loss = outputs["loss"]
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and trainer.global_step % every == 0 and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._check_training_loss(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            value = float(trainer.callback_metrics["val/loss"])
            if not math.isfinite(value):
                raise _error(trainer, f"The validation loss is {value}")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._check_training_loss(trainer)
        assert isinstance(pl_module, FashionMNISTClassifier)
        for name, values in pl_module.network.state_dict().items():
            if not values.isfinite().all():
                raise _error(trainer, f"{name} of the network is no longer finite")

    def _check_training_loss(self, trainer: Trainer) -> None:
        if self.training_loss is not None and not self.training_loss.isfinite():
            raise _error(trainer, f"The training loss is {self.training_loss.item()}")


def _error(trainer: Trainer, what: str) -> NotFinite:
    lr = trainer.optimizers[0].param_groups[0]["lr"]
    return NotFinite(
        f"{what} at step {trainer.global_step}, with a learning rate of {lr:.3g} by now."
        " Lower the optimizer's learning rate, or try --trainer.gradient_clip_val 1."
    )
