"""Measure an entry to the speed run: seconds and test accuracy of any command line (rules: SPEEDRUN.md).

    python benchmarks/speedrun.py --name quick --above 93 --flop 9.6e12 --runs 10 \\
        --train 'fashion-lightning fit --config quick --seed_everything {seed} --data.root {data}
            --trainer.default_root_dir {work}' \\
        --predict 'fashion-lightning predict --ckpt_path {work}/quick/version_0 --tta flip_shift --data.root {data}
            --output {output}'

Each run has its own folder, ``{work}``, and a seed, counted from ``--first_seed``. ``--train`` finds only the training
files in ``{data}``; the clock measures the whole process. ``--predict`` then finds only the test files, and writes a
class for each test image to ``{output}``: a number or a name on each line, or CSV with a column ``class``. The script
also times ``yardstick.py`` and the ``--beside`` commands, before the first run, in the middle and after the last. It
prints everything and writes it to ``records/<date>_<name>/``: ``log.txt`` line by line, ``record.json`` after each
run. ``--resume`` with that folder adds ``--runs`` runs of the same entry to it, on this machine or another: a record
consists of sessions, each with its machine, its runs and the seconds of its yardsticks.
"""

import argparse
import csv
import gzip
import math
import os
import platform
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from mpmath import betainc
from torch import Tensor
from training_step import matrix_product_flops

from fashion_lightning.data import source
from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.files.bounded_yaml import read_json
from fashion_lightning.files.durable import write_json
from fashion_lightning.networks.precision import default_precision
from fashion_lightning.runs.origin import git_state


def only(split: source.Split, root: Path | None, folder: Path) -> Path:
    """Make a data folder with the files of one split, in torchvision's layout."""
    raw = source.raw_folder(folder)
    raw.mkdir(parents=True)
    for name, values in zip(source.FILES[split], source.load(split, root), strict=True):
        array = (values[:, 0] if values.dim() == 4 else values).to(torch.uint8).numpy()
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (raw / f"{name}.gz").write_bytes(gzip.compress(header + array.tobytes(), 6))
    return folder


def classes_in(path: Path) -> list[int]:
    """Read the classes that an entry wrote, in the order of the test images."""
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    column = 0
    if "class" in rows[0]:
        column = rows[0].index("class")
        rows = rows[1:]
    return [CLASS_NAMES.index(row[column]) if row[column] in CLASS_NAMES else int(row[column]) for row in rows]


def run_once(given: argparse.Namespace, seed: int, scratch: Path, labels: Tensor) -> dict[str, float]:
    """Train and predict once; return the seconds of the training process, and the accuracy."""
    work, data, output = scratch / f"seed_{seed}", scratch / f"train_{seed}", scratch / f"classes_{seed}.csv"
    work.mkdir()
    only("train", given.root, data)
    seconds = seconds_of(given.train.format(seed=seed, work=work, data=data))
    predict = given.predict.format(seed=seed, work=work, data=scratch / "test", output=output)
    subprocess.run(shlex.split(predict), stdout=subprocess.DEVNULL, check=True)
    classes = classes_in(output)
    if len(classes) != len(labels):
        raise SystemExit(f"There are {len(classes)} classes for {len(labels)} test images.")
    accuracy = float((torch.tensor(classes) == labels).float().mean())
    return {"seed": seed, "seconds": seconds, "accuracy": accuracy}


def seconds_of(command: str) -> float:
    """Run a command, and return the seconds of the whole process."""
    began = time.perf_counter()
    subprocess.run(shlex.split(command), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def with_deviation(values: list[float], digits: int) -> str:
    """Return mean ± standard deviation as text."""
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def probability(accuracies: list[float], bound: float) -> float:
    """Return the p-value of Student's one-sided t test that the mean accuracy is above ``bound``."""
    freedom = len(accuracies) - 1
    t = (mean(accuracies) - bound) * math.sqrt(len(accuracies)) / stdev(accuracies)
    tail = float(betainc(freedom / 2, 0.5, 0, freedom / (freedom + t**2), regularized=True)) / 2
    return tail if t > 0 else 1 - tail


def machine() -> dict[str, object]:
    """Describe the processor (family, model, speed in the default precision) and the versions."""
    precision = default_precision()
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    named = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    return {
        "processor": [named.get(key, platform.processor()) for key in ("model name", "cpu family", "model")],
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "precision": precision,  # without bf16 instructions, torch takes minutes for a bf16 matrix product
        "gflops": round(matrix_product_flops(torch.bfloat16 if precision == "bf16-mixed" else torch.float32) / 1e9),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": git_state(Path()),
    }


def resumed(record: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Read a record to add a session to; exit if it is of another entry."""
    content: dict[str, Any] = read_json(record / "record.json")
    different = [name for name in entry if content.get(name) != entry[name]]
    if different:
        raise SystemExit(f"{record} is no record, or has another {', '.join(different)}. Start a new record.")
    content.pop("p", None)  # of the old runs
    content["sessions"] = [session for session in content["sessions"] if session["runs"]]
    return content


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="trains; may use {data}, {work} and {seed}")
    parser.add_argument("--predict", required=True, help="writes {output}; may use {data}, {work} and {seed}")
    parser.add_argument("--beside", action="append", default=[], help="another command to time, like the yardstick")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first_seed", type=int, default=0, help="the first of the consecutive seeds; usually 0")
    parser.add_argument("--resume", type=Path, metavar="RECORD", help="a folder that the script wrote: add runs to it")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what the runs write, in a new folder")
    parser.add_argument("--above", type=float, required=True, help="accuracy to exceed: 93, 94 or 95 %%")
    parser.add_argument("--flop", type=float, required=True, help="floating-point operations of one training")
    parser.add_argument("--name", default="entry")
    parser.add_argument("--root", type=Path, help="where the four files are; by default, as for fit")
    given = parser.parse_args()
    if given.keep and given.keep.exists():
        parser.error(f"--keep {given.keep} exists: name a new folder")
    yardstick = shlex.join([sys.executable, str(Path(__file__).with_name("yardstick.py"))])
    commands = {"benchmarks/yardstick.py": yardstick, **{command: command for command in given.beside}}
    entry = {name: getattr(given, name) for name in ("name", "train", "predict", "above", "flop", "first_seed")}
    content = resumed(given.resume, entry) if given.resume else {**entry, "sessions": []}
    sessions: list[dict[str, Any]] = content["sessions"]
    seed = given.first_seed + sum(len(session["runs"]) for session in sessions)
    now: dict[str, Any] = {"machine": machine(), "runs": [], "beside": {name: [] for name in commands}}
    sessions.append(now)
    record: Path = given.resume or Path(__file__).with_name("records") / f"{date.today():%Y-%m-%d}_{given.name}"
    record.mkdir(parents=True, exist_ok=bool(given.resume))
    write_json(record / "record.json", content)
    with tempfile.TemporaryDirectory() as folder, (record / "log.txt").open("a", encoding="utf-8") as log:

        def say(line: str) -> None:
            print(line, flush=True)
            print(line, file=log, flush=True)

        def time_beside() -> None:
            for name, command in commands.items():
                now["beside"][name].append(seconds_of(command))
                say(f"{now['beside'][name][-1]:.1f} s   {name}")

        scratch: Path = given.keep or Path(folder)
        only("test", given.root, scratch / "test")
        _, labels = source.load("test", given.root)
        time_beside()
        for i in range(given.runs):
            run = run_once(given, seed + i, scratch, labels)
            now["runs"].append(run)
            say(f"seed {run['seed']}   {run['seconds']:.1f} s   {100 * run['accuracy']:.2f} %")
            write_json(record / "record.json", content)
            if i == given.runs // 2 - 1:
                time_beside()
        time_beside()
        for session in sessions:
            seconds = [run["seconds"] for run in session["runs"]]
            say(f"{with_deviation(seconds, 1)} s, n = {len(seconds)}, on {session['machine']['processor']}")
            for name, times in session["beside"].items():
                say(f"{mean(seconds) / mean(times):.3g} times {name}")
        accuracies = [100 * run["accuracy"] for session in sessions for run in session["runs"]]
        say(f"{given.name}: {with_deviation(accuracies, 2)} %, n = {len(accuracies)}, {given.flop:.3g} FLOP")
        if len(accuracies) > 1:
            content["p"] = probability(accuracies, given.above)
            say(f"above {given.above:g} %: p = {content['p']:.2g}")
    write_json(record / "record.json", content)


if __name__ == "__main__":
    main()
