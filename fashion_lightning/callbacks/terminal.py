"""What a fit shows in the terminal: the layers of the network, then one bar an epoch."""

import sys
import warnings
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from rich.console import Console
from rich.table import Table
from torch import nn

from fashion_lightning.classifier import FashionMNISTClassifier


class EpochBars(TQDMProgressBar):
    """A bar for each epoch, which stays, with the loss and accuracy so far and those of validation."""

    def __init__(self) -> None:
        # In a log file each refresh would be a line of its own: there, show the end of each epoch only.
        super().__init__(refresh_rate=1 if sys.stderr.isatty() else 10**9, leave=True)

    def init_validation_tqdm(self) -> Tqdm:
        """No bar of its own: validation takes a second."""
        return Tqdm(disable=True)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Without the version number, which the first line of output has said."""
        metrics = super().get_metrics(trainer, pl_module)
        return {name.replace("/", "_"): value for name, value in metrics.items() if name != "v_num"}


class LayerTable(Callback):
    """Prints each layer with its output shape and number of parameters before training begins."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        with warnings.catch_warnings():
            # "bf16-mixed is not supported by the model summary": concerns a size in MB, not shown here
            warnings.filterwarnings("ignore", message="Precision .* is not supported by the model summary")
            summary = ModelSummary(pl_module, max_depth=-1)
        table = Table(title=type(pl_module.network).__name__, title_justify="left")
        for column in ("layer", "type"):
            table.add_column(column)
        for column in ("output shape", "parameters"):
            table.add_column(column, justify="right")
        names = summary.layer_names
        rows = zip(names, summary.layer_types, summary.out_sizes, summary.param_nums, strict=True)
        for name, kind, shape, count in rows:
            is_leaf = not any(other.startswith(f"{name}.") for other in names)
            if name.startswith("network") and is_leaf:
                batchless = f"(B, {', '.join(map(str, shape[1:]))})" if isinstance(shape, list) else "?"
                table.add_row(name.removeprefix("network."), kind, batchless, f"{count:,}")
        console = Console()
        console.print(table)
        assert isinstance(pl_module, FashionMNISTClassifier)
        print(parameter_counts(pl_module.network))


def parameter_counts(network: nn.Module) -> str:
    """How many parameters a network has; also as Keras counts them, where that differs."""
    counts = [(p.numel(), p.requires_grad) for p in network.parameters()]
    total, trainable = sum(count for count, _ in counts), sum(count for count, learned in counts if learned)
    text = f"parameters: {total:,}   trainable: {trainable:,}   not trainable: {total - trainable:,}"
    statistics = sum(buffer.numel() for buffer in network.buffers() if buffer.is_floating_point())
    if statistics:  # the running means and variances of batch norm
        text += (
            f"\nas Keras counts, with batch norm's running statistics: {total + statistics:,}"
            f"   trainable: {trainable:,}   not trainable: {total - trainable + statistics:,}"
        )
    return text
