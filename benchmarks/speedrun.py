"""Measures an entry to the speed run: seconds and test accuracy of any command line (SPEEDRUN.md has the rules).

    python benchmarks/speedrun.py --name quick --runs 10 \\
        --train 'fashion-lightning fit --config quick --seed_everything {seed} --data.root {data} \\
            --trainer.default_root_dir {work}' \\
        --predict 'fashion-lightning predict --ckpt_path {work}/quick/version_0 --tta flip_shift --data.root {data} \\
            --output {output}' \\
        --beside 'keras-venv/bin/python benchmarks/keras_two_conv.py --epochs 20'

Each run has a folder of its own, ``{work}``, and a seed, counted from 0. ``--train`` finds the training files alone in
``{data}``; its clock runs from the instant at which it first opens one of them (on Linux; elsewhere from its start) to
its end. ``--predict`` then finds the test files alone, and writes a class for each test image to ``{output}``: a number
or a name a line, or CSV with a column ``class``. Commands ``--beside`` are timed in the same rounds, whole, in
alternation. Everything that was run is printed, and written to ``--output``.
"""

import argparse
import csv
import ctypes
import gzip
import json
import math
import os
import shlex
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import mean, stdev

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fashion_lightning.data import source
from fashion_lightning.data.classes import CLASS_NAMES

IN_OPEN = 0x20
"""Of Linux' inotify."""


class FirstOpen:
    """The instant at which a file of a folder is first opened, by whichever process."""

    def __init__(self, folder: Path) -> None:
        self.at: float | None = None
        if sys.platform != "linux":
            return
        libc = ctypes.CDLL(None, use_errno=True)
        self.events = libc.inotify_init()
        for path in folder.rglob("*.gz"):
            if libc.inotify_add_watch(self.events, os.fsencode(path), IN_OPEN) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch", str(path))
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        os.read(self.events, 4096)
        self.at = time.perf_counter()


def only(split: source.Split, root: Path | None, folder: Path) -> Path:
    """A data folder with the files of one split, in torchvision's layout."""
    raw = source.raw_folder(folder)
    raw.mkdir(parents=True)
    for name, values in zip(source.FILES[split], source.load(split, root), strict=True):
        array = (values[:, 0] if values.dim() == 4 else values).to(torch.uint8).numpy()
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (raw / f"{name}.gz").write_bytes(gzip.compress(header + array.tobytes(), 6))
    return folder


def classes_in(path: Path) -> list[int]:
    """The classes that an entry has written, in the order of the test images."""
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    column = 0
    if "class" in rows[0]:
        column = rows[0].index("class")
        rows = rows[1:]
    return [CLASS_NAMES.index(row[column]) if row[column] in CLASS_NAMES else int(row[column]) for row in rows]


def run_once(given: argparse.Namespace, seed: int, scratch: Path, labels: Tensor) -> dict[str, float]:
    """Train and predict once: seconds, those of the whole training process, accuracy."""
    work, data, output = scratch / f"seed_{seed}", scratch / f"train_{seed}", scratch / f"classes_{seed}.csv"
    work.mkdir()
    first = FirstOpen(only("train", given.root, data))
    began = time.perf_counter()
    train = given.train.format(seed=seed, work=work, data=data)
    subprocess.run(shlex.split(train), stdout=subprocess.DEVNULL, check=True)
    ended = time.perf_counter()
    if sys.platform == "linux" and first.at is None:
        raise SystemExit("The training command has opened none of the files in {data}; give it that folder.")
    predict = given.predict.format(seed=seed, work=work, data=scratch / "test", output=output)
    subprocess.run(shlex.split(predict), stdout=subprocess.DEVNULL, check=True)
    classes = classes_in(output)
    if len(classes) != len(labels):
        raise SystemExit(f"There are {len(classes)} classes for {len(labels)} test images.")
    accuracy = float((torch.tensor(classes) == labels).float().mean())
    return {"seed": seed, "seconds": ended - (first.at or began), "whole_process": ended - began, "accuracy": accuracy}


def seconds_of(command: str) -> float:
    """Of a whole process."""
    began = time.perf_counter()
    subprocess.run(shlex.split(command), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def with_deviation(values: list[float], digits: int) -> str:
    """Mean ± standard deviation."""
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="trains; may use {data}, {work} and {seed}")
    parser.add_argument("--predict", required=True, help="writes {output}; may use {data}, {work} and {seed}")
    parser.add_argument("--beside", action="append", default=[], help="a yardstick, timed in the same rounds")
    parser.add_argument("--beside_rounds", type=int, default=2, help="in so many of the runs, spread evenly")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--name", default="entry")
    parser.add_argument("--root", type=Path, help="where the four files are; by default, as for fit")
    parser.add_argument("--output", type=Path, help="a .json file for every run")
    given = parser.parse_args()
    every = max(1, math.ceil(given.runs / given.beside_rounds))
    runs: list[dict[str, float]] = []
    beside: dict[str, list[float]] = {command: [] for command in given.beside}
    console = Console(soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        only("test", given.root, scratch / "test")
        _, labels = source.load("test", given.root)
        for seed in range(given.runs):
            for command in given.beside if seed % every == 0 else []:
                beside[command].append(seconds_of(command))
                console.print(f"{beside[command][-1]:.1f} s   {command}")
            runs.append(run_once(given, seed, scratch, labels))
            console.print("seed {seed}   {seconds:.1f} s   {whole_process:.1f} s in all   ".format(**runs[-1]), end="")
            console.print(f"{100 * runs[-1]['accuracy']:.2f} %")
    table = Table("", "seconds", "seconds in all", "test accuracy, %", "n")
    seconds, in_all = ([run[name] for run in runs] for name in ("seconds", "whole_process"))
    accuracy = with_deviation([100 * run["accuracy"] for run in runs], 2)
    table.add_row(given.name, with_deviation(seconds, 1), with_deviation(in_all, 1), accuracy, str(len(runs)))
    for command, times in beside.items():
        table.add_row(command, "", with_deviation(times, 1), "", str(len(times)))
        table.add_row(f"{given.name} / that", "", f"1/{mean(times) / mean(in_all):.1f}", "", "")
    console.print(table)
    if given.output is not None:
        given.output.write_text(json.dumps({**vars(given), "runs": runs, "beside": beside}, default=str, indent=1))


if __name__ == "__main__":
    main()
