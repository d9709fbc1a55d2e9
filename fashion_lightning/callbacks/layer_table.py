"""The layers of the network and how many parameters they have, before a fit begins."""

import warnings

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from rich import box
from rich.console import Console
from rich.table import Column, Table
from torch import nn

from fashion_lightning.classifier import FashionMNISTClassifier

MOST_ROWS = 12
"""Of the short table."""


class LayerTable(Callback):
    """Prints layers with their output shapes and numbers of parameters before training begins.

    Args:
        whole: print every layer; by default the blocks of the network, in a dozen lines at most.
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
            summary = ModelSummary(pl_module, max_depth=-1)
        columns = (summary.layer_names, summary.layer_types, summary.out_sizes, summary.param_nums)
        every = zip(*columns, strict=True)
        layers = {name[len("network.") :]: row for name, *row in every if name.startswith("network.")}
        leaves = [name for name in layers if not any(other.startswith(f"{name}.") for other in layers)]
        rows = leaves if self.whole else blocks(leaves)
        if not self.whole and len(rows) > MOST_ROWS:  # a long chain: show the layers with parameters
            rows = [name for name in rows if layers[name][2]][:MOST_ROWS]
        right = [Column(name, justify="right") for name in ("output shape", "parameters")]
        table = Table("layer", "type", *right, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
        table.title = type(pl_module.network).__name__
        for name in rows:
            kind, shape, count = layers[name]
            within = sum(leaf.startswith(f"{name}.") for leaf in leaves)
            batchless = f"(B, {', '.join(map(str, shape[1:]))})" if isinstance(shape, list) else "?"
            table.add_row(name, f"{kind} of {within} layers" if within else str(kind), batchless, f"{count:,}")
        if rows:  # a network without layers of its own has none
            Console().print(table)
        print(parameter_counts(pl_module.network))
        if len(rows) < len(leaves):
            print(f"All {len(leaves)} layers: --layers")


def blocks(leaves: list[str]) -> list[str]:
    """Return the parts of a network at the greatest depth with a dozen at most; else its direct parts."""
    depths = range(max(map(len, (name.split(".") for name in leaves)), default=1), 0, -1)
    parts = [list(dict.fromkeys(".".join(name.split(".")[:depth]) for name in leaves)) for depth in depths]
    return next((names for names in parts if len(names) <= MOST_ROWS), parts[-1])


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
