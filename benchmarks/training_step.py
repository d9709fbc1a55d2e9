"""Measure where the time of a training goes: ``fit`` compared with a bare loop, data loading, and arithmetic.

    python benchmarks/training_step.py --config cnn --rounds 3

Each round runs one epoch of the recipe with the ``fit`` command, and then with a bare loop over the same batches,
network and optimizer; both include validation. Also prints loading and augmentation as a share of the bare loop, and
floating-point operations per second as a share of those of a large matrix product in the same precision. With
``--operators``, also prints torch's operators that take the most time of a step. (Under torch's profiler a step has
page faults that it does not have otherwise; they count as ``fill_``.)
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from data_files import data_folder
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.cli import main as fashion_lightning
from fashion_lightning.cli.recipes import DEFAULT_RECIPE, find_config
from fashion_lightning.data.classes import PIXEL_MEAN, PIXEL_STD
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.networks.precision import default_precision


def fit_seconds(config: Path, root: Path) -> float:
    """Return the seconds of one epoch with the command, from its first step to its last."""
    with tempfile.TemporaryDirectory() as logs, contextlib.redirect_stdout(io.StringIO()):
        with contextlib.redirect_stderr(io.StringIO()):
            fit = ["fit", "--config", str(config), "--trainer.max_epochs", "1", "--data.root", str(root)]
            fashion_lightning([*fit, "--trainer.default_root_dir", logs])
        (report,) = Path(logs).glob("*/*/fit.json")
        return float(json.loads(report.read_text())["fit_seconds"])


class BareLoop:
    """The recipe without Lightning: one epoch of training, then validation."""

    def __init__(self, config: dict[str, Any], root: Path) -> None:
        parser = ArgumentParser()
        parser.add_class_arguments(FashionMNISTClassifier, "model")
        classifier = parser.instantiate(parser.parse_object({"model": config["model"]})).model
        self.network: nn.Module = classifier.network
        self.optimizer = classifier.make_optimizer(self.network.parameters())
        self.loss: nn.Module = classifier.loss
        self.datamodule = FashionMNISTDataModule(**{**config.get("data", {}), "root": root})
        self.datamodule.setup("fit")
        self.epochs = config["trainer"]["max_epochs"]
        self.autocast = default_precision() == "bf16-mixed"

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        pixels = (images.float() / 255 - PIXEL_MEAN) / PIXEL_STD
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            logits: torch.Tensor = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return logits.float()

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss = self.loss(self.logits(images), labels)
        loss.backward()
        self.optimizer.step()

    def seconds(self) -> tuple[float, float]:
        """Return the seconds of one epoch with validation, and of its loading and augmentation alone."""
        began, loading = time.perf_counter(), 0.0
        self.network.train()
        batches = iter(self.datamodule.train_dataloader())
        for batch_idx in range(len(self.datamodule.train_dataloader())):
            before = time.perf_counter()
            batch = next(batches)
            images = self.datamodule.augment(batch.images, batch.indices, 0, batch_idx)
            loading += time.perf_counter() - before
            self.step(images, batch.labels)
        self.network.eval()
        with torch.inference_mode():
            for batch in self.datamodule.val_dataloader():
                (self.logits(batch.images).argmax(1) == batch.labels).sum().item()
        return time.perf_counter() - began, loading

    def flop_per_epoch(self) -> float:
        """Count the operations of the training steps: forward, backward and the optimizer's matrix products."""
        batch = next(iter(self.datamodule.train_dataloader()))
        with FlopCounterMode(display=False) as counter:
            self.step(batch.images, batch.labels)
        return float(counter.get_total_flops() * len(self.datamodule.train_dataloader()))


def operators_table(loop: BareLoop, steps: int = 20, rows: int = 12) -> Table:
    """List torch's operators that take the most time of a step, and their share, by torch's profiler."""
    batch = next(iter(loop.datamodule.train_dataloader()))
    loop.step(batch.images, batch.labels)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            loop.step(batch.images, batch.labels)
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    table = Table(
        "operator", "share of a step", "ms", title=f"{total / steps / 1000:.1f} ms a step", title_justify="left"
    )
    for event in events[:rows]:
        spent = event.self_cpu_time_total
        table.add_row(event.key, f"{spent / total:.1%}", f"{spent / steps / 1000:.1f}")
    return table


def matrix_product_flops(dtype: torch.dtype, side: int = 2048) -> float:
    """Return the rate of square matrix products in floating-point operations per second, the best of 10."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=find_config, default=DEFAULT_RECIPE)
    parser.add_argument("--root", type=Path, help="where the four files are; by default, as for fit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--operators", action="store_true", help="also print the operators that take the time")
    given = parser.parse_args()
    root = data_folder(given.root)
    loop = BareLoop(yaml.safe_load(given.config.read_text(encoding="utf-8")), root)
    flop = loop.flop_per_epoch()
    rounds = [(fit_seconds(given.config, root), *loop.seconds()) for _ in range(given.rounds)]
    fit, bare, loading = (median(column) for column in zip(*rounds, strict=True))
    peak = matrix_product_flops(torch.bfloat16 if loop.autocast else torch.float32)
    table = Table("of one epoch", "median", title=f"{given.config.stem}, {given.rounds} rounds", title_justify="left")
    for name, text in (
        ("fit, s", f"{fit:.2f}"),
        ("bare loop, s", f"{bare:.2f}"),
        ("fit / bare loop", f"{median(f / b for f, b, _ in rounds):.3f}"),
        ("loading and augmentation / bare loop", f"{loading / bare:.1%}"),
        ("matrix product, GFLOP/s", f"{peak / 1e9:.0f}"),
        ("fit, GFLOP/s", f"{flop / fit / 1e9:.0f}"),
        ("fit / matrix product", f"{flop / fit / peak:.1%}"),
        ("FLOP of the whole training", f"{flop * loop.epochs:.3g}"),
    ):
        table.add_row(name, text)
    Console(soft_wrap=True).print(table)
    if given.operators:
        Console(soft_wrap=True).print(operators_table(loop))


if __name__ == "__main__":
    main()
