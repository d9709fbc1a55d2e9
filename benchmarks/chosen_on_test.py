"""Measure how much choosing the epoch on the test images adds to an accuracy.

    fashion-lightning repeat --config seeds/two_conv_cnn --config presets/every_epoch --test
    python benchmarks/chosen_on_test.py tensorboard_logs/two_conv_cnn/version_*

Many publications, including the Keras originals, use the test set for validation and report the best epoch on it. This
script compares that with choosing on validation images, for finished runs. It needs the preset ``every_epoch``. Do not
choose anything by what it prints.
"""

import sys
from pathlib import Path
from statistics import mean, stdev

import torch
from rich.console import Console
from rich.table import Table

from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.inference import load
from fashion_lightning.networks.precision import default_precision
from fashion_lightning.runs.results import read_config, read_results


@torch.inference_mode()
def test_accuracy(checkpoint: Path, datamodule: FashionMNISTDataModule) -> float:
    """Return a checkpoint's accuracy on the test images, in percent, with the default precision of ``test``."""
    classifier = load(checkpoint)
    classifier.network.to(memory_format=torch.channels_last)
    right = 0
    with torch.autocast("cpu", torch.bfloat16, enabled=default_precision() == "bf16-mixed"):
        for batch in datamodule.test_dataloader():
            right += int((classifier(batch.images).argmax(1) == batch.labels).sum())
    return 100 * right / len(datamodule.test_set)


def show(values: list[float]) -> str:
    """Return mean ± standard deviation as text."""
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def main(runs: list[Path]) -> None:
    """Print one line for each run, and the mean over runs."""
    table = Table("run", "best epoch on test, %", "last epoch, %", "epoch chosen on validation, %")
    columns: list[list[float]] = [[], [], []]
    datamodule = FashionMNISTDataModule(root=read_config(runs[0])["data"]["root"])
    datamodule.setup("test")
    for run in runs:
        results = read_results(run)
        epochs = sorted((run / "checkpoints").glob("epoch_*.ckpt"))
        if len(epochs) != results.fit["epochs"]:
            raise SystemExit(f"error: {run} holds {len(epochs)} of {results.fit['epochs']} epochs' checkpoints")
        accuracies = [test_accuracy(checkpoint, datamodule) for checkpoint in epochs]
        best = max(range(len(epochs)), key=accuracies.__getitem__)
        figures = [accuracies[best], accuracies[-1], accuracies[int(results.fit["best"]["epoch"])]]
        table.add_row(
            f"{run} (seed {results.fit['seed']})",
            f"{figures[0]:.2f} (epoch {best + 1})",
            *map("{:.2f}".format, figures[1:]),
        )
        for column, figure in zip(columns, figures, strict=True):
            column.append(figure)
    table.add_section()
    table.add_row(f"mean ± sd, n = {len(runs)}", *map(show, columns))
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main([Path(argument) for argument in sys.argv[1:]])
