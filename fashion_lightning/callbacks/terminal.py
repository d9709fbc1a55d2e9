"""The terminal output of a fit: a line for each epoch and, on a terminal, a progress bar."""

import os
import sys
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.text import Text
from tqdm import tqdm

from fashion_lightning.callbacks.checkpoints import BestCheckpoint
from fashion_lightning.metrics import validated_in_epoch
from fashion_lightning.runs.tensorboard import THROUGHPUT

HEADING = (
    f"{'':11}{'seconds':>9}{'images/s':>10}{'train loss':>12}{'accuracy':>10}{'val loss':>10}{'accuracy':>10}"  # 72
)


def epoch_of(trainer: Trainer) -> str:
    """Return ``epoch 2/8``, counted from 1; without the number of epochs where steps or time end the run."""
    epochs = trainer.max_epochs
    of_all = f"/{epochs}" if epochs is not None and epochs > 0 else ""
    return f"epoch {trainer.current_epoch + 1:>{len(of_all[1:])}}{of_all}"


class EpochLines(Callback):
    """Prints a line for each epoch: seconds, speed, losses, accuracies and whether it is the best one so far.

    Prints it when the next epoch begins or the fit ends, because the best checkpoint is saved last in an epoch. The
    seconds of an epoch include its validation; those of a continued epoch begin where it was continued.
    """

    def __init__(self) -> None:
        self.console: Console | None = None
        self.ended: tuple[int, str] | None = None
        self.began = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.began = time.monotonic()  # a continued epoch does not call on_train_epoch_start
        if trainer.is_global_zero:
            self.console = Console(highlight=False, soft_wrap=True)
            self.console.print(Text(HEADING, "dim"))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print_line(trainer)
        self.began = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seconds = time.monotonic() - self.began
        self.ended = trainer.current_epoch, f"{epoch_of(trainer):<11}{seconds:>9,.1f}"

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print_line(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._print_line(trainer)

    def _print_line(self, trainer: Trainer) -> None:
        if self.ended is None or self.console is None:
            return
        (epoch, text), self.ended, metrics = self.ended, None, trainer.callback_metrics
        line = Text(f"{text}{metrics[THROUGHPUT].item():>10,.0f}" if THROUGHPUT in metrics else f"{text}{'–':>10}")
        for part, loss_width in (("train", 12), ("val", 10)):
            loss, accuracy = metrics.get(f"{part}/loss"), metrics.get(f"{part}/accuracy")
            if loss is None or accuracy is None or (part == "val" and not validated_in_epoch(trainer)):
                line.append(f"{'–':>{loss_width}}{'–':>10}")
            else:
                line.append(f"{loss.item():>{loss_width}.4f}{100 * accuracy.item():>8.2f} %")
        best = [saved.best_metrics for saved in trainer.checkpoint_callbacks if isinstance(saved, BestCheckpoint)]
        if best and best[0].get("epoch") == epoch:
            line.append("  best", "bold green")
        self.console.print(line)


class TerminalBar(ProgressBar):
    """A bar with the remaining time, on a terminal only; it disappears when its epoch or evaluation ends.

    Reads the logged loss and accuracy when the bar is drawn, a few times a second: reading them waits for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: tqdm[Any] | None = None
        self.is_on = sys.stdout.isatty()

    def disable(self) -> None:
        """Draw nothing: Lightning calls this in all processes of a run but the first."""
        self.is_on = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a line above the bar."""
        if self.bar is not None:
            self.bar.clear()
        print(*args, **kwargs)

    def _show(self, name: str, total: float, done: int = 0, after: float = 0.0) -> None:
        """Make a bar that is drawn after so many seconds, unless there is one."""
        if self.is_on and self.bar is None:
            self.bar = tqdm(
                desc=name,
                total=total,
                initial=done,
                delay=after,
                leave=False,
                dynamic_ncols=True,
                file=sys.stdout,
                bar_format="{desc}  {percentage:3.0f} % {bar} {n_fmt}/{total_fmt}  {remaining} left{postfix}",
                colour=None if os.environ.get("NO_COLOR") else "cyan",
            )

    def _remove(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.is_on and self.bar is None:
            self._show(epoch_of(trainer), self.total_train_batches, batch_idx)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is not None and self.bar.update():
            metrics = trainer.progress_bar_metrics
            if "loss" in metrics and "accuracy" in metrics:
                text = f"loss {metrics['loss']:.4f}, accuracy {100 * metrics['accuracy']:.2f} %"
                self.bar.set_postfix_str(text, refresh=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._remove()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._show("validating", sum(trainer.num_val_batches), after=1)
        elif self.bar is not None:
            self.bar.set_postfix_str("validating")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show("testing", sum(trainer.num_test_batches), after=1)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show("predicting", sum(trainer.num_predict_batches), after=1)

    def on_test_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if self.bar is not None and trainer.state.fn != "fit":
            self.bar.update()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            self._remove()

    on_validation_batch_end = on_predict_batch_end = on_test_batch_end
    on_validation_end = on_predict_end = on_test_end

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._remove()
