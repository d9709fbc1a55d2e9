"""What a fit shows on the terminal: layers at its start, a bar while it runs, a line for each epoch."""

import sys
import time
import warnings
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from torch import nn

from fashion_lightning.callbacks.checkpoints import BestCheckpoint
from fashion_lightning.classifier import FashionMNISTClassifier
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
        with Tqdm.external_write_mode():  # the bar is taken away meanwhile
            self.console.print(line)


class TerminalBar(TQDMProgressBar):
    """Lightning's bar, on a terminal only, with the remaining time; that of a fit disappears when its epoch ends.

    Args:
        refresh_rate: batches between two looks at loss and accuracy; each look waits for the device.
    """

    BAR_FORMAT = "{desc}  {percentage:3.0f} % {bar} {n_fmt}/{total_fmt}  {remaining} left{postfix}"

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate)
        self.bar: Tqdm | None = None  # of the fit
        if not sys.stdout.isatty():
            self.disable()

    def init_train_tqdm(self) -> Tqdm:
        self.bar = super().init_train_tqdm()
        self.bar.leave = False
        return self.bar

    def init_validation_tqdm(self) -> Tqdm:
        return Tqdm(disable=True) if self.trainer.state.fn == "fit" else super().init_validation_tqdm()

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return loss and accuracy, without Lightning's version number."""
        return dict(trainer.progress_bar_metrics)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.train_progress_bar.total is None:  # a continued epoch does not call on_train_epoch_start
            self.on_train_epoch_start(trainer)

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description_str(epoch_of(trainer))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self.bar is not None:
            self.bar.close()


DEPTH = 3
"""Nested modules in the short table: ``network.groups.0`` has three names."""


class LayerTable(Callback):
    """Prints layers with their output shapes and numbers of parameters before training begins.

    Args:
        whole: print layers at every depth, not only the outer ones.
    """

    def __init__(self, whole: bool = False) -> None:
        self.whole = whole

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, FashionMNISTClassifier)
        if not trainer.is_global_zero:
            return
        with warnings.catch_warnings():
            # "bf16-mixed is not supported by the model summary": concerns a size in MB, not shown here
            warnings.filterwarnings("ignore", message="Precision .* is not supported by the model summary")
            summary = ModelSummary(pl_module, max_depth=-1 if self.whole else DEPTH)
        right = [Column(name, justify="right") for name in ("output shape", "parameters")]
        table = Table("layer", "type", *right, box=box.SIMPLE_HEAD, pad_edge=False)
        columns = (summary.layer_names, summary.layer_types, summary.out_sizes, summary.param_nums)
        for name, kind, shape, count in zip(*columns, strict=True):
            if name.startswith("network"):
                table.add_row(name, kind, str(shape), f"{count:,}")
        Console().print(table)
        print(parameter_counts(pl_module.network))


def parameter_counts(network: nn.Module) -> str:
    """Say how many parameters a network has.

    Networks with batch norm get a second line: Keras counts running means and variances too.
    """
    total = sum(p.numel() for p in network.parameters())
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    text = f"parameters: {total:,}   trainable: {trainable:,}   not trainable: {total - trainable:,}"
    if statistics := sum(buffer.numel() for buffer in network.buffers() if buffer.is_floating_point()):
        fixed = total - trainable + statistics
        text += f"\nas Keras counts: {total + statistics:,}   trainable: {trainable:,}   not trainable: {fixed:,}"
    return text
