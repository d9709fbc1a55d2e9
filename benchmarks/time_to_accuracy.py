"""Compare seconds of training and accuracy of recipes with Keras and stock Lightning.

    python benchmarks/time_to_accuracy.py --keras keras-venv/bin/python --epochs 20 --rounds 2 quick cnn

Runs alternately, each in a new process: the network of original 002 in Keras (``keras_two_conv.py``); recipes of
this project; and the network of 002 again, with this project and with stock Lightning (``stock_lightning.py``). These
two are slow; ``--same_epochs`` trains them for fewer epochs; 0 omits them. They are compared with as many epochs of
Keras, and each recipe with all epochs of Keras. Seconds are from the first step to the last, including
validation. Keras' accuracy is on the test images, as its author measured it; all others are on the validation images.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

from data_files import data_folder
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "configs"
YARDSTICK = CONFIGS / "seeds" / "two_conv_cnn.yaml"


def last_line(command: list[str]) -> dict[str, float]:
    """Run a benchmark of this folder, and return the JSON that it prints last."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def fit(config: Path, root: Path, epochs: int | None) -> dict[str, float]:
    """Return seconds, epochs and accuracy of one ``fit``."""
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
    parser.add_argument("--epochs", type=int, default=20, help="epochs of Keras")
    parser.add_argument("--rounds", type=int, default=1, help="how often to run everything, in alternation")
    parser.add_argument("--same_epochs", type=int, help="epochs of 002's network outside Keras; default: --epochs")
    parser.add_argument("--root", type=Path, help="where the four files are; by default, as for fit")
    given = parser.parse_args()
    same_epochs = given.epochs if given.same_epochs is None else given.same_epochs
    data = data_folder(given.root)
    root = ["--root", str(data)]
    stock = [str(HERE / "stock_lightning.py"), "--config", str(YARDSTICK), "--epochs", str(same_epochs), *root]
    yardstick = [given.keras, str(HERE / "keras_two_conv.py"), "--epochs", str(given.epochs), *root]
    rounds: dict[str, list[dict[str, float]]] = {}

    def took(name: str, figures: dict[str, float]) -> None:
        print(f"{figures['seconds']:.1f} s   {name}", flush=True)
        rounds.setdefault(name, []).append(figures)

    for _ in range(given.rounds):
        took("Keras, original 002", {"epochs": given.epochs, **last_line(yardstick)})
        for recipe in given.recipes:
            took(f"configs/{recipe}.yaml", fit(CONFIGS / f"{recipe}.yaml", data, None))
        if same_epochs:
            took("configs/seeds/two_conv_cnn.yaml", fit(YARDSTICK, data, same_epochs))
            took("stock Lightning, original 002", last_line([sys.executable, *stock]))

    table = Table("", "epochs", "seconds", "of Keras' time", "accuracy, %")
    keras = mean(figures["seconds"] for figures in rounds["Keras, original 002"])
    for name, done in rounds.items():
        part = same_epochs / given.epochs if "seeds/" in name or "stock" in name else 1
        seconds = [figures["seconds"] for figures in done]
        accuracy = [100 * next(value for key, value in figures.items() if "accuracy" in key) for figures in done]
        table.add_row(
            name,
            f"{done[0]['epochs']:.0f}",
            ", ".join(f"{value:.1f}" for value in seconds),
            f"1/{keras * part / mean(seconds):.1f}",
            ", ".join(f"{value:.2f}" for value in accuracy),
        )
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    main()
