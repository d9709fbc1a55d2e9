"""The layers of the network and how many parameters they have, before a fit begins."""

import warnings

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from rich import box
from rich.console import Console
from rich.table import Column, Table
from torch import nn

from fashion_lightning.classifier import FashionMNISTClassifier

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
