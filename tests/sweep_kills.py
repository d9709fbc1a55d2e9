"""Kills the workers of a sweep at random instants, and checks that nothing finished was lost or trained twice.

    python -m tests.sweep_kills --kills 10
    python -m tests.sweep_kills --kills 10 --workers 3

One worker keeps its study in a file, and trains two trials at a time. Several share a study in a PostgreSQL server of
their own, which is restarted meanwhile. A killed worker is started again by the same command; half of the
time its fits are killed in the same instant, as by a power cut. At the end every trial must be there once, each in a
run folder of its own; a fit that was finished must not have been touched again; and every fit must have ended with the
bits of an undisturbed one with the same settings.
"""

import contextlib
import csv
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jsonargparse
import psutil

from tests import postgresql
from tests.conftest import command_with_hashes, write_generated_data
from tests.kills import fingerprint

RECIPE = """
model:
  network: {class_path: fashion_lightning.networks.MLP, init_args: {hidden: [16], dropout: 0.3}}
  optimizer: {class_path: torch.optim.AdamW}
data: {batch_size: 50, val_size: 100, shift: 1}
trainer: {accelerator: cpu, precision: 32-true, max_epochs: 3, log_every_n_steps: 5}
best_checkpoint: {monitor: val/loss}
pictures: false
"""

SPACE = """
lr: {low: 3e-4, high: 0.1, log: true}
data.batch_size: {choices: [25, 50, 100]}
model.network.init_args.dropout: {low: 0.0, high: 0.5}
"""

EPOCHS = 12
"""Of each trial."""

OUTAGE_SECONDS = 3

HEARTBEAT_SECONDS = 3
"""In place of a minute, so that killed workers are noticed soon."""


@dataclass
class Workers:
    """Workers of one sweep."""

    command: Sequence[str]
    folder: Path
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    started: int = 0
    finished: dict[Path, int] = field(default_factory=dict)
    """When the report of each finished fit was written."""
    saves: set[tuple[Path, int]] = field(default_factory=set)
    """Every checkpoint that was seen, with the time of its writing: the progress of all fits, in epochs."""

    def start(self) -> None:
        self.started += 1
        with (self.folder / "output.txt").open("ab") as output:
            self.running.append(subprocess.Popen(self.command, cwd=self.folder, stdout=output, stderr=output))

    def kill_one(self, draw: random.Random) -> None:
        """Kill a worker, and perhaps its fits; start it again."""
        worker = draw.choice(self.running)
        children = psutil.Process(worker.pid).children() if draw.random() < 0.5 else []
        worker.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        worker.wait()
        self.running.remove(worker)
        self.start()

    def look(self) -> list[str]:
        """Forget workers that have ended; return the faults found."""
        wrong = []
        for worker in [worker for worker in self.running if worker.poll() is not None]:
            self.running.remove(worker)
            wrong += [f"a worker ended with {worker.returncode}"] if worker.returncode else []
        for report in self.folder.glob("tensorboard_logs/recipe_sweep/version_*/fit.json"):
            written = report.stat().st_mtime_ns
            if self.finished.setdefault(report.parent, written) != written:
                wrong.append(f"{report.parent.name} was finished, and trained again")
        checkpoints = self.folder.glob("tensorboard_logs/recipe_sweep/version_*/checkpoints/last.ckpt")
        self.saves |= {(checkpoint, checkpoint.stat().st_mtime_ns) for checkpoint in checkpoints}
        return wrong

    def wait(self, epochs: float = math.inf) -> list[str]:
        """Wait until the fits have done this many epochs, or the workers have ended; return the faults found."""
        wrong, enough, deadline = [], len(self.saves) + epochs, time.monotonic() + 600
        while self.running and len(self.saves) < enough and time.monotonic() < deadline:
            wrong += self.look()
            time.sleep(0.01)
        return wrong


def check(workers: Workers, trials: int, program: Sequence[str]) -> list[str]:
    """Check a sweep's trials, run folders and weights; return the faults found."""
    sweep = workers.folder / "tensorboard_logs/recipe_sweep"
    with (sweep / "trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wrong = [f"trial {row['trial']}: {row['state']}" for row in rows if row["state"] != "complete"]
    runs = sorted(path.name for path in sweep.glob("version_*"))
    # Workers that begin their last trials at the same instant may make one more each.
    if len(rows) < trials or runs != sorted(Path(row["run"]).name for row in rows):
        wrong.append(f"{len(rows)} trials, {len(runs)} runs: {trials} were asked for")
    for run in runs:
        alone = workers.folder / run
        alone.mkdir()
        shutil.copy(sweep / run / "config.yaml", alone / "recipe_sweep.yaml")
        fit = ["fit", "--config", str(alone / "recipe_sweep.yaml"), "--trainer.default_root_dir", str(alone)]
        subprocess.run([*program, *fit], cwd=workers.folder, check=True, capture_output=True)
        expected = fingerprint(alone / "recipe_sweep/version_0")
        found = fingerprint(sweep / run)
        wrong += [f"{run}: {name}" for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    return wrong


def run(trials: int = 12, workers: int = 1, kills: int = 10, restarts: int = 1, seed: int = 0) -> tuple[int, list[str]]:
    """Run a sweep whose workers are killed.

    Args:
        trials: the sweep's number of trials.
        workers: commands that share its study.
        kills: how many workers to kill.
        restarts: how often to restart the database's server, if there are several workers.
        seed: for the random instants.

    Returns:
        The number of workers that were started, and all that is wrong.
    """
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        hashes = write_generated_data(folder / "data")
        program = command_with_hashes(folder / "fashion_lightning_on_generated_data.py", hashes)
        script = folder / "sweep.py"
        heartbeat = f"from fashion_lightning.sweeps import study; study.HEARTBEAT_SECONDS = {HEARTBEAT_SECONDS}; "
        script.write_text(Path(program[1]).read_text().replace("main()", f"{heartbeat}main()"))
        (folder / "recipe.yaml").write_text(RECIPE)
        (folder / "space.yaml").write_text(SPACE)
        options = ["--config", "recipe.yaml", "--space", "space.yaml", "--data.root", str(folder / "data")]
        options += ["--trials", str(trials), "--epochs", str(EPOCHS), "--pruner", "none"]
        if workers == 1:
            options += ["--processes", "2"]
        else:
            server = stack.enter_context(postgresql.server())
            options += ["--storage", server.url("postgres")]
        sweep = Workers([sys.executable, str(script), "sweep", *options], folder)
        for _ in range(workers):
            sweep.start()
        events = ["kill"] * kills + ["restart"] * (restarts if workers > 1 else 0)
        draw.shuffle(events)
        wrong = []
        for event in events:
            # All events come within the first half of the epochs, so that fits still run on any machine.
            wrong += sweep.wait(draw.randint(1, trials * EPOCHS // (2 * len(events))))
            if not sweep.running:
                wrong.append(f"the workers were done before a {event}")
                break
            if event == "kill":
                sweep.kill_one(draw)
            else:
                # Not while a worker starts: without the server, it would end at once.
                while not all(psutil.Process(worker.pid).children() for worker in sweep.running):
                    wrong += sweep.wait(1)
                server.stop()
                time.sleep(OUTAGE_SECONDS)
                server.start()
        wrong += sweep.wait()
        wrong += check(sweep, trials, program)
        if wrong:
            print((folder / "output.txt").read_text(), flush=True)
        return sweep.started, wrong


if __name__ == "__main__":
    started, unequal = jsonargparse.auto_cli(run)
    print(f"{started} workers were started, {len(unequal)} faults", *unequal, sep="\n")
    sys.exit(bool(unequal))
