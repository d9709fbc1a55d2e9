"""Recipes beside the yardstick: seconds of training and accuracy, against Keras and stock Lightning.

    python benchmarks/time_to_accuracy.py --keras keras-venv/bin/python --epochs 20 quick cnn seeds/two_conv_cnn

One after the other, each in a process of its own: seed 002's network in Keras
(``keras_two_conv.py``), the same network in a stock Lightning project (``stock_lightning.py``), and
recipes of this project, with seed 002's cut to the same number of epochs. Seconds are from the first
step to the last, validation included. Keras' accuracy is that on the test images, as its author
measured; all others are on the validation images.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "configs"
YARDSTICK = CONFIGS / "seeds" / "two_conv_cnn.yaml"


def last_line(command: list[str]) -> dict[str, float]:
    """What a benchmark of this folder prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def fit(config: Path, root: Path, epochs: int | None) -> dict[str, float]:
    """Seconds and accuracy of one ``fit``."""
    with tempfile.TemporaryDirectory() as logs:
        options = ["--config", str(config), "--data.root", str(root), "--trainer.default_root_dir", logs]
        if epochs is not None:
            options += ["--trainer.max_epochs", str(epochs)]
        command = [sys.executable, "-m", "fashion_lightning", "fit", *options]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        (report,) = Path(logs).glob("*/*/fit.json")
        figures = json.loads(report.read_text())
    return {"seconds": figures["fit_seconds"], "accuracy": figures["best"]["val/accuracy"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["cnn"], help="names in configs/")
    parser.add_argument("--keras", required=True, help="the Python of an environment with tensorflow-cpu")
    parser.add_argument("--epochs", type=int, default=20, help="of seed 002's network")
    parser.add_argument("--root", type=Path, default=Path("data"))
    given = parser.parse_args()
    shared = ["--epochs", str(given.epochs), "--root", str(given.root)]

    keras = last_line([given.keras, str(HERE / "keras_two_conv.py"), *shared])
    results = [("Keras, seed 002", keras["seconds"], keras["test_accuracy"])]
    for recipe in given.recipes:
        config = CONFIGS / f"{recipe}.yaml"
        figures = fit(config, given.root, given.epochs if config == YARDSTICK else None)
        results.append((f"configs/{recipe}.yaml", figures["seconds"], figures["accuracy"]))
    stock = last_line([sys.executable, str(HERE / "stock_lightning.py"), "--config", str(YARDSTICK), *shared])
    results.append(("stock Lightning, seed 002", stock["seconds"], stock["val_accuracy"]))

    table = Table("", "seconds", "of Keras' time", "accuracy, %")
    for name, seconds, accuracy in results:
        table.add_row(name, f"{seconds:.1f}", f"1/{keras['seconds'] / seconds:.1f}", f"{100 * accuracy:.2f}")
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    main()
