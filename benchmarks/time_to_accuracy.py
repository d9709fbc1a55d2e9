"""Recipes beside the yardstick: seconds of training and accuracy, against Keras and stock Lightning.

    python benchmarks/time_to_accuracy.py --keras keras-venv/bin/python --epochs 20 quick cnn

One after the other, each in a process of its own: seed 002's network in Keras (``keras_two_conv.py``),
recipes of this project, and seed 002's network once more, by this project and by a stock Lightning one
(``stock_lightning.py``). These two take minutes an epoch and may be cut (``--same_epochs``); they are
compared with as many epochs of Keras, the recipes with all of its epochs. Seconds are from the first
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
    best = figures["best"]["val/accuracy"]
    return {"seconds": figures["fit_seconds"], "epochs": figures["epochs"], "accuracy": best}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["cnn"], help="names in configs/")
    parser.add_argument("--keras", required=True, help="the Python of an environment with tensorflow-cpu")
    parser.add_argument("--epochs", type=int, default=20, help="of Keras")
    parser.add_argument("--same_epochs", type=int, help="of the same network elsewhere; as many by default")
    parser.add_argument("--root", type=Path, default=Path("data"))
    given = parser.parse_args()
    same_epochs = given.same_epochs or given.epochs
    root = ["--root", str(given.root)]

    keras = last_line([given.keras, str(HERE / "keras_two_conv.py"), "--epochs", str(given.epochs), *root])
    table = Table("", "epochs", "seconds", "of Keras' time", "accuracy, %")

    def add(name: str, epochs: float, seconds: float, keras_seconds: float, accuracy: float) -> None:
        share = f"1/{keras_seconds / seconds:.1f}"
        table.add_row(name, f"{epochs:.0f}", f"{seconds:.1f}", share, f"{100 * accuracy:.2f}")

    add("Keras, seed 002", given.epochs, keras["seconds"], keras["seconds"], keras["test_accuracy"])
    for recipe in given.recipes:
        figures = fit(CONFIGS / f"{recipe}.yaml", given.root, None)
        add(f"configs/{recipe}.yaml", figures["epochs"], figures["seconds"], keras["seconds"], figures["accuracy"])
    as_many = keras["seconds"] * same_epochs / given.epochs
    figures = fit(YARDSTICK, given.root, same_epochs)
    add("configs/seeds/two_conv_cnn.yaml", same_epochs, figures["seconds"], as_many, figures["accuracy"])
    stock = [str(HERE / "stock_lightning.py"), "--config", str(YARDSTICK), "--epochs", str(same_epochs), *root]
    figures = last_line([sys.executable, *stock])
    add("stock Lightning, seed 002", same_epochs, figures["seconds"], as_many, figures["val_accuracy"])
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    main()
