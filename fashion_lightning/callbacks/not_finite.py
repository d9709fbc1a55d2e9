"""Stop a run whose numbers are not finite, before they replace good ones."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.errors import UserError


class NotFinite(UserError):
    """The training has diverged."""


class StopWhenNotFinite(Callback):
    """Ends a fit whose loss or weights are NaN or infinite; no checkpoint is written then.

    Checks the training loss where it is logged, the validation loss after each validation, and the weights with the
    running statistics of batch norm before each checkpoint, since looking at a number on a GPU waits for it.

    Raises:
        NotFinite: naming the number, the step and the learning rate.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and trainer.global_step % every == 0 and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            _check(trainer, "The training loss", outputs["loss"])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            _check(trainer, "The validation loss", trainer.callback_metrics["val/loss"])

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        assert isinstance(pl_module, FashionMNISTClassifier)
        if pl_module.train_metrics.images:
            _check(trainer, "The training loss", pl_module.train_metrics.loss)  # the sum over the epoch so far
        for name, values in pl_module.network.state_dict().items():
            _check(trainer, f"{name} of the network", values)


def _check(trainer: Trainer, name: str, values: Tensor) -> None:
    if not values.isfinite().all():
        found = f"is {values.item()}" if values.ndim == 0 else "is no longer finite"
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        raise NotFinite(
            f"{name} {found} at step {trainer.global_step}, with a learning rate of {lr:.3g} by now."
            " Lower the optimizer's learning rate, or try --trainer.gradient_clip_val 1."
        )
