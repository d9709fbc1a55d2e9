"""Kills trainings at random instants until they are done, and compares them with undisturbed ones.

    python -m tests.kills --kills 100 --seed 0
    python -m tests.kills --kills 30 --processes 2
    python -m tests.kills --kills 30 --recipe quick
    python -m tests.kills --kills 20 --recipe own_pictures

Each training has dropout, augmentation and an average of its weights; the schedules, the optimizers,
the precision and pruning take turns. With --recipe, it is one of configs/ in batches of 50; own_pictures
trains on class folders and draws each class equally often. A killed one is continued by the command that a
user would type, and killed again. At its end, weights, optimizer, averages, metrics, callbacks and curves
(read raw from the event files) must equal those of a run that nothing disturbed. With several processes, one of
them is killed, and the others must soon end by themselves.
"""

import contextlib
import hashlib
import itertools
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonargparse
import psutil
import torch
import yaml
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from torch import Tensor

from fashion_lightning.runs.tensorboard import THROUGHPUT
from tests.conftest import ROOT, command_with_hashes, write_generated_data, write_pictures

EPOCHS = 10

BOUND = 60
"""Seconds within which the other processes must end after one was killed, on a busy machine."""

RECIPE: dict[str, Any] = {
    "model": {
        "network": {
            "class_path": "fashion_lightning.networks.ConvNet",
            "init_args": {"blocks": [[4]], "hidden": [16], "pool_dropout": 0.3, "dropout": 0.3, "batch_norm": True},
        }
    },
    "data": {"batch_size": 50, "val_size": 100, "flip": "random", "shift": 2, "cutout": 4},
    "trainer": {
        "accelerator": "cpu",
        "max_epochs": EPOCHS,
        "log_every_n_steps": 1,
        "callbacks": [
            {
                "class_path": "fashion_lightning.callbacks.weight_averaging.WeightEMA",
                "init_args": {"decay": 0.9, "update_every_n_steps": 3},
            }
        ],
    },
    "last_checkpoint": {"every_n_steps": 3},
    "early_stopping": {"patience": EPOCHS},
}
SCHEDULES: list[tuple[str, dict[str, Any]] | None] = [
    ("fashion_lightning.schedules.LinearDecay", {}),
    ("fashion_lightning.schedules.CosineDecay", {"warmup": 0.2}),
    ("torch.optim.lr_scheduler.CosineAnnealingLR", {"T_max": EPOCHS}),
    ("torch.optim.lr_scheduler.StepLR", {"step_size": 3, "gamma": 0.7}),
    None,
]
OPTIMIZERS = [("fashion_lightning.optimizers.Muon", {"lr": 0.05}), ("torch.optim.AdamW", {"lr": 0.003})]
PLACES = [("32-true", 0.4), ("bf16-mixed", 0.4), ("bf16-mixed", 0.0), ("32-true", 0.0)]
"""Precision, and the share of the images that each epoch leaves out."""


def cases() -> Iterator[dict[str, Any]]:
    """Yield recipes without end; ten in a row use every schedule with both optimizers."""
    for number in itertools.count():
        recipe = json.loads(json.dumps(RECIPE))
        schedule, optimizer = SCHEDULES[number % len(SCHEDULES)], OPTIMIZERS[number // len(SCHEDULES) % 2]
        precision, prune = PLACES[number % len(PLACES)]
        if schedule is not None:
            recipe["model"]["scheduler"] = {"class_path": schedule[0], "init_args": schedule[1]}
        recipe["model"]["optimizer"] = {"class_path": optimizer[0], "init_args": optimizer[1]}
        recipe["trainer"]["precision"] = precision
        recipe["data"]["prune"] = prune
        yield recipe


def shipped(name: str) -> Iterator[dict[str, Any]]:
    """Yield one recipe of configs/ without end: network, optimizer, schedule, augmentation, pruning; on few images."""
    recipe = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    recipe["data"] |= {"batch_size": 50, "val_size": 100, "balanced": name == "own_pictures"}
    recipe["trainer"] |= {"accelerator": "cpu", "precision": "bf16-mixed", "log_every_n_steps": 1}
    recipe["last_checkpoint"] = {"every_n_steps": 3}
    yield from itertools.repeat(recipe)


def start(command: list[str], folder: Path, processes: int) -> "subprocess.Popen[bytes]":
    """Begin the training of ``recipe.yaml`` in ``folder``, or go on with it, as a user would."""
    pictures = folder.parent / "pictures"
    place = ["--data.folder", str(pictures)] if pictures.is_dir() else ["--data.root", str(folder.parent / "data")]
    options = ["--config", "recipe.yaml", *place]
    runs = sorted(folder.glob("tensorboard_logs/recipe*/version_*"))
    if runs and any(runs[-1].glob("checkpoints/*.ckpt")):
        options = ["--ckpt_path", str(runs[-1].relative_to(folder))]
    fit = [*command, "fit", *options, "--trainer.devices", str(processes)]
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(fit, cwd=folder, stdout=output, stderr=output)


def values(content: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield a checkpoint's values by dotted names; for a tensor its dtype, shape and a hash of its bytes."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from values(value, f"{name}.{key}")
    elif isinstance(content, list | tuple):
        for number, value in enumerate(content):
            yield from values(value, f"{name}.{number}")
    elif isinstance(content, Tensor):
        data = (
            content.contiguous().view(torch.uint8).numpy().tobytes() if content.ndim else str(content.item()).encode()
        )
        yield name, f"{content.dtype} {tuple(content.shape)} {hashlib.sha256(data).hexdigest()}"
    else:
        yield name, repr(content)


def logged(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of all that the event files hold, in their order, by tag; the value of a picture is NaN."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(run.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                number = value.simple_value if value.HasField("simple_value") else math.nan
                found.setdefault(value.tag, []).append((event.step, number))
    return found


def fingerprint(run: Path) -> dict[str, str]:
    """Return the values that two runs must have in common, by name."""
    found: dict[str, str] = {}
    for file in ("last.ckpt", "best.ckpt"):
        content = torch.load(run / "checkpoints" / file, weights_only=True)
        del content["loops"], content["fashion_lightning"]  # counters of attempts, and the folders' names
        del content["callbacks"]["Timer"]  # a reading of the clock
        places = ("path", "dirpath", "best_k_models")
        found |= {name: value for name, value in values(content, file) if not any(place in name for place in places)}
    report = json.loads((run / "fit.json").read_text())
    report.pop("fit_seconds", None)
    found["fit.json"] = json.dumps(report, sort_keys=True)
    for tag, points in logged(run).items():
        # The throughput is a reading of the clock: its points must be there, but no two runs have the same values.
        found[f"curve {tag}"] = repr(sorted((step, tag == THROUGHPUT or value) for step, value in points))
    return found


def processes_of(process: "subprocess.Popen[Any]") -> list[psutil.Process]:
    """The processes of a run: the first one, and those that Lightning has started and that still run."""
    living = psutil.process_iter(["ppid", "environ"])  # leaves out those that end meanwhile
    started = [
        one
        for one in living
        if one.info["ppid"] == process.pid and (one.info["environ"] or {}).get("LOCAL_RANK", "0") != "0"
    ]
    return [psutil.Process(process.pid), *started]


def is_running(pid: int) -> bool:
    """Check whether a process still runs; an ended one stays listed until its parent waits for it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def kill_at(
    process: subprocess.Popen[bytes], folder: Path, seconds: float, draw: random.Random, processes: int = 1
) -> bool:
    """Kill a process at a random instant: anywhere, or in the middle of the next save. False if it ended before.

    Of several processes, one is killed.

    Raises:
        RuntimeError: another one still runs after ``BOUND`` seconds, or has printed more than one line.
    """
    moment = draw.choice(("anywhere", "anywhere", "anywhere", "save"))
    deadline = time.monotonic() + draw.uniform(0, seconds)
    while process.poll() is None:
        if time.monotonic() >= deadline and (moment == "anywhere" or any(folder.glob("*/*/*/checkpoints/.*.partial"))):
            break
        time.sleep(0.0005)
    else:
        return False
    before = (folder / "output.txt").stat().st_size
    ours = processes_of(process)
    with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
        draw.choice(ours).kill()
    process.wait(BOUND)
    deadline = time.monotonic() + BOUND
    while left := [other for other in ours if is_running(other.pid)]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left} were still there {BOUND} s after the end of the first")
        time.sleep(0.05)
    said = (folder / "output.txt").read_bytes()[before:].decode()
    if "Traceback" in said or said.count("error: ") > processes - 1:
        raise RuntimeError(said)
    return True


def run(kills: int = 100, seed: int = 0, processes: int = 1, recipe: str | None = None) -> tuple[int, list[str]]:
    """Kill trainings until there are enough kills, and finish the last training.

    Args:
        kills: the least number of kills.
        seed: for the random instants.
        processes: how many train together.
        recipe: a name in configs/; all kinds of settings by default.

    Returns:
        The number of kills, and every difference found.
    """
    draw, done, differences = random.Random(seed), 0, []
    with tempfile.TemporaryDirectory() as scratch:
        hashes = write_generated_data(Path(scratch) / "data")
        if recipe == "own_pictures":
            write_pictures(Path(scratch) / "pictures", {"many": 400, "some": 80, "few": 40})
        command = command_with_hashes(Path(scratch) / "fashion_lightning_on_generated_data.py", hashes)
        for number, settings in enumerate(cases() if recipe is None else shipped(recipe)):
            if done >= kills:
                break
            undisturbed, disturbed = (Path(scratch) / f"{number}_{name}" for name in ("undisturbed", "disturbed"))
            for folder in (undisturbed, disturbed):
                folder.mkdir()
                (folder / "recipe.yaml").write_text(yaml.safe_dump(settings))
            began = time.monotonic()
            if start(command, undisturbed, processes).wait():
                raise RuntimeError((undisturbed / "output.txt").read_text())
            seconds = time.monotonic() - began
            here = 0
            process = start(command, disturbed, processes)
            while here < 10 and kill_at(process, disturbed, seconds, draw, processes):
                here += 1
                process = start(command, disturbed, processes)
            if process.wait():
                raise RuntimeError((disturbed / "output.txt").read_text())
            done += here
            expected, found = (
                fingerprint(report.parent)
                for report in [*undisturbed.glob("*/recipe*/*/fit.json"), *disturbed.glob("*/recipe*/*/fit.json")]
            )
            unequal = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
            print(f"recipe {number}: {here} kills, {len(unequal)} of {len(expected)} differ; {done} kills", flush=True)
            differences += [
                f"recipe {number}: {name}: {expected.get(name)} undisturbed, {found.get(name)} killed"
                for name in sorted(unequal)
            ]
    return done, differences


if __name__ == "__main__":
    kills, found = jsonargparse.auto_cli(run)
    print(f"{kills} kills, {len(found)} differences", *found, sep="\n")
    sys.exit(bool(found))
