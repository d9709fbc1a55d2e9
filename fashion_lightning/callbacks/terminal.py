"""What a fit shows while it runs: a line for each epoch and, on a terminal, a bar until the line is there."""

import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.text import Text
from tqdm import tqdm

from fashion_lightning.callbacks.checkpoints import BestCheckpoint
from fashion_lightning.callbacks.curves_by_images import images_in_step
from fashion_lightning.metrics import validated_in_epoch

HEADING = (
    f"{'':11}{'seconds':>9}{'images/s':>10}{'train loss':>12}{'accuracy':>10}{'val loss':>10}{'accuracy':>10}"  # 72
)


def epoch_of(trainer: Trainer) -> str:
    """``epoch 2/8``, counted from 1; without the number of epochs where steps or time end the run."""
    epochs = trainer.max_epochs
    of_all = f"/{epochs}" if epochs is not None and epochs > 0 else ""
    return f"epoch {trainer.current_epoch + 1:>{len(of_all[1:])}}{of_all}"


@dataclass(frozen=True)
class Measured:
    """What the clock says of an epoch that has ended."""

    name: str
    epoch: int
    """As Lightning counts, from 0."""
    seconds: float
    """With validation; of an epoch that was continued, since then."""
    images_per_second: float
    """Trained on."""


class EpochLines(Callback):
    """Prints a line for each epoch, with losses and accuracies, and a mark where the best checkpoint was saved.

    It is printed when the next epoch begins or the fit ends, since the best checkpoint comes last in an epoch.
    """

    def __init__(self) -> None:
        self.console: Console | None = None
        self.ended: Measured | None = None
        self._start_clock()

    def _start_clock(self) -> None:
        self.began, self.validating, self.images = time.monotonic(), 0.0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start_clock()  # an epoch that goes on in its middle does not begin once more
        if trainer.is_global_zero:
            self.console = Console(highlight=False, soft_wrap=True)
            self.console.print(Text(HEADING, "dim"))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print_line(trainer)
        self._start_clock()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.images += images_in_step(trainer, batch, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validating -= time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validating += time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seconds = time.monotonic() - self.began
        speed = self.images / (seconds - self.validating)
        self.ended = Measured(epoch_of(trainer), trainer.current_epoch, seconds, speed)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print_line(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._print_line(trainer)

    def _print_line(self, trainer: Trainer) -> None:
        if self.ended is None or self.console is None:
            return
        metrics, ended, self.ended = trainer.callback_metrics, self.ended, None
        line = Text(f"{ended.name:<11}{ended.seconds:>9,.1f}{ended.images_per_second:>10,.0f}")
        for part, loss_width in (("train", 12), ("val", 10)):
            loss, accuracy = metrics.get(f"{part}/loss"), metrics.get(f"{part}/accuracy")
            if loss is None or accuracy is None or (part == "val" and not validated_in_epoch(trainer)):
                line.append(f"{'–':>{loss_width}}{'–':>10}")
            else:
                line.append(f"{loss.item():>{loss_width}.4f}{100 * accuracy.item():>8.2f} %")
        best = [saved for saved in trainer.checkpoint_callbacks if isinstance(saved, BestCheckpoint)]
        if best and best[0].best_metrics.get("epoch") == ended.epoch:
            line.append("  best", "bold green")
        self.console.print(line)


class TerminalBar(ProgressBar):
    """A bar with the time that is left, on a terminal only; it is gone when what it shows has ended.

    Its loss and accuracy are those that the module logs for progress bars, read when the bar is drawn: a few times
    a second, since reading them waits for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: tqdm[Any] | None = None
        self.enable()

    def enable(self) -> None:
        """As at the start."""
        self.is_on = sys.stdout.isatty()

    def disable(self) -> None:
        """Of the processes of a run, only the first one draws."""
        self.is_on = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print in a line of its own; the bar follows it."""
        if self.bar is not None:
            self.bar.clear()
        print(*args, **kwargs)

    def _show(self, name: str, total: float, done: int = 0, after: float = 0.0) -> None:
        """Make a bar, drawn once so many seconds have passed, unless there is one."""
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

    def _advance(self) -> bool:
        """Count a batch; whether the bar was drawn."""
        return self.bar is not None and bool(self.bar.update())

    def _remove(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.bar is None and self.is_on:
            self._show(epoch_of(trainer), self.total_train_batches, batch_idx)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._advance() and self.bar is not None:
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

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.state.fn == "validate":
            self._advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._remove()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show("testing", sum(trainer.num_test_batches), after=1)

    def on_test_batch_end(self, *_: Any) -> None:
        self._advance()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._remove()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show("predicting", sum(trainer.num_predict_batches), after=1)

    def on_predict_batch_end(self, *_: Any) -> None:
        self._advance()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._remove()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._remove()
