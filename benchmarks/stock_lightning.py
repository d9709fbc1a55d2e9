"""Train a recipe's network with Lightning as in its tutorials, as a newcomer would write it.

    python benchmarks/stock_lightning.py --config configs/seeds/two_conv_cnn.yaml --epochs 1

Uses torchvision's data set with ``ToTensor``, a ``DataLoader`` with two workers, fp32, and ``self.log`` in each step;
network, optimizer, batch size and split are the recipe's. Prints one line of JSON: seconds from the first step to the
last, including validation, and the validation accuracy.
"""

import argparse
import gzip
import json
import logging
import tempfile
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from data_files import data_folder
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchmetrics.functional import accuracy
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

from fashion_lightning.data.split import train_val_indices


class StockClassifier(L.LightningModule):
    """The tutorial's module."""

    def __init__(self, network: nn.Module, optimizer: dict[str, Any]) -> None:
        super().__init__()
        self.network, self.settings = network, optimizer

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        logits = self.network(x)
        loss = nn.functional.cross_entropy(logits, y)
        self.log("train_loss", loss, prog_bar=True)
        self.log("train_acc", accuracy(logits, y, task="multiclass", num_classes=10), prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        logits = self.network(x)
        self.log("val_loss", nn.functional.cross_entropy(logits, y))
        self.log("val_acc", accuracy(logits, y, task="multiclass", num_classes=10))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        module, _, name = self.settings["class_path"].rpartition(".")
        settings = {key: value for key, value in self.settings["init_args"].items() if key != "fused"}
        optimizer: torch.optim.Optimizer = getattr(import_module(module), name)(self.parameters(), **settings)
        return optimizer


class Clock(L.Callback):
    """Measures the seconds from the first step to the last."""

    def on_train_start(self, *_: object) -> None:
        self.began = time.perf_counter()

    def on_train_end(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.began


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--root", type=Path, help="where the four files are; by default, as for fit")
    given = parser.parse_args()
    for source in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(source).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    recipe = yaml.safe_load(given.config.read_text(encoding="utf-8"))
    L.seed_everything(0, verbose=False)
    build = ArgumentParser()
    build.add_subclass_arguments(nn.Module, "network")
    network = build.instantiate(build.parse_object({"network": recipe["model"]["network"]})).network
    scratch = tempfile.TemporaryDirectory()
    unpacked = Path(scratch.name) / "FashionMNIST" / "raw"  # torchvision does not read the packed files
    unpacked.mkdir(parents=True)
    for path in data_folder(given.root).glob("*.gz"):
        (unpacked / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    whole = FashionMNIST(scratch.name, train=True, transform=ToTensor())
    train, val = train_val_indices(whole.targets, recipe["data"].get("val_size", 5000), None)
    batch_size = recipe["data"]["batch_size"]
    loader = DataLoader(Subset(whole, train.tolist()), batch_size, shuffle=True, num_workers=2)
    val_loader = DataLoader(Subset(whole, val.tolist()), batch_size, num_workers=2)
    clock = Clock()
    with tempfile.TemporaryDirectory() as logs:
        trainer = L.Trainer(
            max_epochs=given.epochs, callbacks=[clock], default_root_dir=logs, enable_progress_bar=False
        )
        trainer.fit(StockClassifier(network, recipe["model"]["optimizer"]), loader, val_loader)
    val_accuracy = float(trainer.callback_metrics["val_acc"])
    print(json.dumps({"epochs": given.epochs, "seconds": round(clock.seconds, 2), "val_accuracy": val_accuracy}))


if __name__ == "__main__":
    main()
