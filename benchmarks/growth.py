"""Measure how time and memory of ``fit`` grow with images, batch size, width and threads.

    python benchmarks/growth.py

Each row is one epoch of the default recipe in a new process, with one setting changed. Memory is the largest resident
set of the process, most of which is torch's libraries.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from data_files import data_folder
from rich.console import Console
from rich.table import Table

WIDTHS = "--model.network.init_args.widths"
VARIANTS: list[tuple[str, list[str], dict[str, str]]] = [
    ("the default recipe", [], {}),
    *((f"{n:,} images", ["--data.train_size", str(n)], {}) for n in (5_000, 15_000, 30_000)),
    ("59,990 images", ["--data.val_size", "10"], {}),
    *((f"batches of {n}", ["--data.batch_size", str(n)], {}) for n in (125, 250, 1000)),
    ("half as wide", ["--model.network.init_args.stem", "8", WIDTHS, "[16,64,64]"], {}),
    ("twice as wide", ["--model.network.init_args.stem", "32", WIDTHS, "[64,256,256]"], {}),
    ("one thread", [], {"OMP_NUM_THREADS": "1"}),
    ("fp32", ["--trainer.precision", "32-true"], {}),
]


def measure(options: list[str], environment: dict[str, str], root: Path) -> tuple[float, int, float]:
    """Return seconds and steps of one epoch, and the peak of resident memory in MB."""
    with tempfile.TemporaryDirectory() as logs:
        fit = ["fit", "--trainer.max_epochs", "1", "--data.root", str(root), "--trainer.default_root_dir", logs]
        process = subprocess.Popen(
            [sys.executable, "-m", "fashion_lightning", *fit, *options],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"fit {' '.join(options)} failed")
        (path,) = Path(logs).glob("*/*/fit.json")
        report = json.loads(path.read_text())
    return report["fit_seconds"], report["steps"], usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder of the four files; by default as for fit")
    given = parser.parse_args()
    table = Table("one epoch of", "fit, s", "times the default", "steps", "resident memory, MB")
    default = 0.0
    for name, options, environment in VARIANTS:
        seconds, steps, memory = measure(options, environment, data_folder(given.root))
        default = default or seconds
        table.add_row(name, f"{seconds:.1f}", f"{seconds / default:.2f}", str(steps), f"{memory:,.0f}")
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    main()
