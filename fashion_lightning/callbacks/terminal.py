"""Print a fit's progress: layers at its start, a bar during each epoch, a line after it."""

import sys
import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from tqdm import tqdm

from fashion_lightning.callbacks.checkpoints import BestCheckpoint
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.metrics import validated_in_epoch
from fashion_lightning.runs.tensorboard import THROUGHPUT
from fashion_lightning.tables import print_table


def epoch_of(trainer: Trainer) -> str:
    """Return ``epoch 2/8``, counted from 1; ``epoch 2`` if steps or time end the run."""
    of_all = f"/{trainer.max_epochs}" if (trainer.max_epochs or 0) > 0 else ""
    return f"epoch {trainer.current_epoch + 1:>{len(of_all[1:])}}{of_all}"


class EpochLines(Checkpoint):
    """Prints a line for each epoch: seconds, speed, losses, accuracies, and whether it is the best so far.

    Seconds include the validation; for a resumed epoch they count from where it resumed.
    Subclasses Checkpoint so that Lightning calls it after the epoch's best checkpoint is saved.

    Args:
        shows_bar: show a bar while an epoch runs.
    """

    def __init__(self, shows_bar: bool) -> None:
        self.shows_bar = shows_bar
        self.bar: tqdm | None = None
        self.began = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        print(
            f"{'':11}{'seconds':>9}{'images/s':>10}{'train loss':>12}{'accuracy':>10}{'val loss':>10}{'accuracy':>10}",
            flush=True,
        )
        self.began = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self.shows_bar:
            return
        if self.bar is None:
            self.bar = tqdm(
                desc=epoch_of(trainer),
                total=int(trainer.num_training_batches),
                initial=batch_idx,
                bar_format="{desc}  {percentage:3.0f} % {bar} {n_fmt}/{total_fmt}  {remaining} left{postfix}",
                leave=False,
                dynamic_ncols=True,
                file=sys.stdout,
            )
        if (batch_idx + 1) % 10 == 0:  # reading loss and accuracy waits for the device
            self.bar.set_postfix(trainer.progress_bar_metrics, refresh=False)
        self.bar.update()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_bar()
        metrics, seconds = trainer.callback_metrics, time.monotonic() - self.began
        self.began = time.monotonic()
        speed = f"{metrics[THROUGHPUT].item():,.0f}" if THROUGHPUT in metrics else "–"
        line = f"{epoch_of(trainer):<11}{seconds:>9,.1f}{speed:>10}"
        for part, loss_width in (("train", 12), ("val", 10)):
            if f"{part}/loss" not in metrics or (part == "val" and not validated_in_epoch(trainer)):
                line += f"{'–':>{loss_width}}{'–':>10}"
            else:
                loss, accuracy = (metrics[f"{part}/{name}"].item() for name in ("loss", "accuracy"))
                line += f"{loss:>{loss_width}.4f}{100 * accuracy:>8.2f} %"
        is_best = any(
            isinstance(saved, BestCheckpoint) and saved.best_metrics.get("epoch") == trainer.current_epoch
            for saved in trainer.checkpoint_callbacks
        )
        print(f"{line}  best" if is_best else line, flush=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._end_bar()

    def _end_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def print_layers(model: FashionMNISTClassifier, whole: bool) -> None:
    """Print layers with their output shapes and numbers of parameters.

    Args:
        model: in training or evaluation mode.
        whole: print layers at every depth, not only the outer ones.
    """
    summary = ModelSummary(model, max_depth=-1 if whole else 3)  # network.groups.0 is at depth 3
    columns = (summary.layer_names, summary.layer_types, summary.out_sizes, summary.param_nums)
    layers = [layer for layer in zip(*columns, strict=True) if layer[0].startswith("network")]
    rows = [[name, kind, str(shape), f"{count:,}"] for name, kind, shape, count in layers]
    print_table(["layer", "type", "output shape", "parameters"], rows, left=("layer", "type"))
    every, trainable = summary.total_parameters, summary.trainable_parameters
    print(f"parameters: {every:,}   trainable: {trainable:,}   not trainable: {every - trainable:,}", flush=True)
