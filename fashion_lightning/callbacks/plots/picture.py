"""What all pictures have in common: when they are drawn, and where they go."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.runs.tensorboard import RunLogger


class Picture(Callback):
    """Something that is drawn after each validation of a ``fit``, at the step of that validation's curves.

    Drawn by the first process only, before checkpoints are written: what a checkpoint counts as done is drawn.
    """

    def draw(
        self, writer: SummaryWriter, model: FashionMNISTClassifier, evaluation: dict[str, Tensor], step: int
    ) -> None:
        """Write to TensorBoard.

        Args:
            writer: of the run's event file.
            model: as it was validated, on its device.
            evaluation: what ``Evaluation.compute`` gives, on the CPU.
            step: the last optimizer step before the validation, counted from 0.
        """

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not (is_drawn(trainer) and isinstance(pl_module, FashionMNISTClassifier)):
            return
        evaluation = {name: value.cpu() for name, value in pl_module.evaluations["none"].items()}
        with writer_of(trainer) as writer:
            if writer is not None:
                self.draw(writer, pl_module, evaluation, max(0, trainer.global_step - 1))


def is_drawn(trainer: Trainer) -> bool:
    """Whether this process draws pictures now: in ``fit``, but not in Lightning's sanity check."""
    return trainer.state.fn == "fit" and trainer.is_global_zero and not trainer.sanity_checking


@contextmanager
def writer_of(trainer: Trainer) -> Iterator[SummaryWriter | None]:
    """The writer of the trainer's TensorBoard logger; ``None`` if it has no such logger.

    Raises:
        UserError: the run folder cannot be written to.
    """
    logger = next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
    with logger.naming_the_folder() if isinstance(logger, RunLogger) else nullcontext():
        yield logger.experiment if logger is not None else None


def images_of(trainer: Trainer, indices: Tensor) -> Tensor | None:
    """Images of the training files as they are, ``(N, 1, 28, 28)`` uint8, by their places ``(N,)``; ``None`` if the
    data come from elsewhere than this package's DataModule."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(datamodule, FashionMNISTDataModule):
        return None
    return datamodule.val_set.images[indices]
