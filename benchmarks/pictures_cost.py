"""Measure the cost of TensorBoard's plots: fit the default recipe alternately with and without them.

    python3 benchmarks/pictures_cost.py --rounds 3 --epochs 2

Each fit runs in a new process. Seconds are from fit.json, from the first step to the last; peak memory is counted by
the system.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

from data_files import data_folder


def fit(folder: Path, pictures: bool, arguments: list[str]) -> tuple[float, float]:
    """Return seconds and peak memory in MB of one fit."""
    command = [sys.executable, "-m", "fashion_lightning", "fit", "--pictures", str(pictures).lower(), *arguments]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError((folder / "output.txt").read_text())
    (report,) = folder.glob("tensorboard_logs/*/version_0/fit.json")
    return float(json.loads(report.read_text())["fit_seconds"]), usage.ru_maxrss / 1024


def main() -> None:
    """Print each fit, and the difference of the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--root", type=Path, help="where the four files are; by default, as for fit")
    given = parser.parse_args()
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(given.rounds):
        for pictures in (True, False) if number % 2 == 0 else (False, True):
            arguments = ["--config", "cnn", "--trainer.max_epochs", str(given.epochs)]
            with tempfile.TemporaryDirectory() as folder:
                took, memory = fit(Path(folder), pictures, [*arguments, "--data.root", str(data_folder(given.root))])
            seconds[pictures].append(took)
            print(f"pictures {'on ' if pictures else 'off'}  {took:7.1f} s  {memory:6.0f} MB", flush=True)
    with_them, without = mean(seconds[True]), mean(seconds[False])
    print(f"on {with_them:.1f} s, off {without:.1f} s: {100 * (with_them / without - 1):+.1f} %")


if __name__ == "__main__":
    main()
