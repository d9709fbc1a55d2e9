"""Kills the workers of a sweep at random instants, and compares what comes of it with an undisturbed one.

    python -m tests.sweep_kills --workers 3 --kills 10 --restarts 1
    python -m tests.sweep_kills --workers 1 --kills 10 --sampler tpe --pruner median

The workers share a study in a PostgreSQL server of their own, which is stopped and started again meanwhile. A killed
worker is started again by the same command, as a cluster would; half of the time the fit that it runs is killed in the
same instant, as by a power cut. At the end every trial must have come to its end once, in one run folder, and must have
the settings, the figures and the weights that it has in a sweep of one worker that nothing disturbed.

That can be so with the random sampler, whatever the number of workers; with TPE and with pruning, which go by the
trials that are finished, with one worker.
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from fashion_lightning.sweeps.storage import open_storage, storage_url
from fashion_lightning.sweeps.study import retry, shared_trials
from tests import kills, postgresql
from tests.conftest import command_with_hashes, write_generated_data

RECIPE = """
model:
  network: {class_path: fashion_lightning.networks.MLP, init_args: {hidden: [16], dropout: 0.3}}
  optimizer: {class_path: torch.optim.AdamW}
data: {batch_size: 50, val_size: 100, shift: 1}
trainer: {accelerator: cpu, precision: 32-true, max_epochs: 12, log_every_n_steps: 5}
best_checkpoint: {monitor: val/loss}
pictures: false
"""

SPACE = """
lr: {low: 3e-4, high: 0.1, log: true}
data.batch_size: {choices: [25, 50, 100]}
model.network.init_args.dropout: {low: 0.0, high: 0.5}
"""

STUDY = "recipe_sweep"

OUTAGE_SECONDS = 3


@dataclass
class Sweep:
    """A sweep in a folder of its own."""

    command: list[str]
    """That starts a worker, in ``folder``."""
    folder: Path
    started: int = 0
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self) -> None:
        """Start a worker."""
        self.started += 1
        with (self.folder / "output.txt").open("ab") as output:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            self.workers.append(
                subprocess.Popen(self.command, cwd=self.folder, stdout=output, stderr=output, env=environment)
            )

    def kill_one(self, draw: random.Random) -> None:
        """Kill a worker, and perhaps what it has started."""
        worker = draw.choice(self.workers)
        children = []
        if draw.random() < 0.5 and worker.poll() is None:
            children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        worker.kill()
        for child in children:
            if kills.is_running(int(child)):
                os.kill(int(child), signal.SIGKILL)
        worker.wait()
        self.workers.remove(worker)

    def collect(self, server_was_away: bool) -> None:
        """Take away workers that are done; those that began while the server was away are started again.

        Raises:
            RuntimeError: one has failed.
        """
        for worker in [worker for worker in self.workers if worker.poll() is not None]:
            self.workers.remove(worker)
            said = self.text()
            if worker.returncode == 2 and server_was_away and "cannot be used" in said:
                self.start()
            elif worker.returncode:
                raise RuntimeError(said)

    def text(self) -> str:
        """What all workers have printed."""
        return (self.folder / "output.txt").read_text()

    def rows(self) -> dict[str, dict[str, str]]:
        """The table, by trial, without what the clock says."""
        with (self.folder / "tensorboard_logs" / STUDY / "trials.csv").open(encoding="utf-8") as file:
            return {
                row["trial"]: {key: value for key, value in row.items() if key != "fit_seconds"}
                for row in csv.DictReader(file)
            }

    def runs(self) -> list[Path]:
        """All run folders."""
        folders = (self.folder / "tensorboard_logs" / STUDY).glob("version_*")
        return sorted(folders, key=lambda run: int(run.name.removeprefix("version_")))


def finished_attempts(url: str) -> tuple[int, int]:
    """How many of Optuna's trials have come to an end, and how many trials that makes."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    storage = open_storage(storage_url(url, Path()), retry)
    trials = optuna.load_study(study_name=STUDY, storage=storage).trials
    ends = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    ended = [trial for trial in trials if trial.state in ends]
    return len(ended), sum(trial.state in ("complete", "pruned") for trial in shared_trials(trials))


def differences(undisturbed: Sweep, disturbed: Sweep) -> list[str]:
    """What is not equal of two sweeps."""
    expected, found = undisturbed.rows(), disturbed.rows()
    unequal = [f"trial {number}" for number in sorted({*expected, *found}) if expected.get(number) != found.get(number)]
    if [run.name for run in undisturbed.runs()] != [run.name for run in disturbed.runs()]:
        unequal.append("run folders")
    for one, other in zip(undisturbed.runs(), disturbed.runs(), strict=False):
        if (one / "fit.json").is_file() and (other / "fit.json").is_file():
            before, after = kills.fingerprint(one), kills.fingerprint(other)
            unequal += [
                f"{one.name} {name}" for name in before.keys() | after.keys() if before.get(name) != after.get(name)
            ]
    return unequal


def run(
    trials: int, workers: int, kill_count: int, restarts: int, sampler: str, pruner: str, seed: int
) -> tuple[int, int, list[str]]:
    """Run a sweep undisturbed, and one that is disturbed.

    Returns:
        The number of kills, how many workers were started, and every difference found.
    """
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch, postgresql.server() as server:
        hashes = write_generated_data(Path(scratch) / "data")
        program = command_with_hashes(Path(scratch) / "fashion_lightning_on_generated_data.py", hashes)
        script = Path(program[1])
        script.write_text(
            f"from fashion_lightning import children as parent\nparent.PROGRAM = {program!r}\n{script.read_text()}"
        )
        sweeps, urls = [], []
        for name in ("undisturbed", "disturbed"):
            folder = Path(scratch) / name
            folder.mkdir()
            (folder / "recipe.yaml").write_text(RECIPE)
            (folder / "space.yaml").write_text(SPACE)
            urls.append(server.create(name))
            options = ["--config", "recipe.yaml", "--space", "space.yaml", "--data.root", str(Path(scratch) / "data")]
            options += ["--trials", str(trials), "--sampler", sampler, "--pruner", pruner, "--storage", urls[-1]]
            sweeps.append(Sweep([*program, "sweep", *options], folder))
        undisturbed, disturbed = sweeps
        began = time.monotonic()
        undisturbed.start()
        if undisturbed.workers[0].wait():
            raise RuntimeError(undisturbed.text())
        seconds = time.monotonic() - began
        print(f"undisturbed: {trials} trials in {seconds:.0f} s", flush=True)

        for _ in range(workers):
            disturbed.start()
        # Kills cost time themselves, so that more of them fit in than an undisturbed sweep would let.
        pause = seconds / (kill_count + restarts + 1)
        events = ["kill"] * kill_count + ["restart"] * restarts
        draw.shuffle(events)
        done, away_until = 0, 0.0
        for event in events:
            until = time.monotonic() + draw.uniform(0.5, 1.5) * pause
            while time.monotonic() < until and disturbed.workers:
                disturbed.collect(time.monotonic() < away_until)
                time.sleep(0.05)
            if not disturbed.workers:
                break
            if event == "kill":
                disturbed.kill_one(draw)
                disturbed.start()
                done += 1
            else:
                server.stop()
                print(f"the server is away for {OUTAGE_SECONDS} s", flush=True)
                time.sleep(OUTAGE_SECONDS)
                server.start()
                away_until = time.monotonic() + 60
        while disturbed.workers:
            disturbed.collect(time.monotonic() < away_until)
            time.sleep(0.1)
        print(f"disturbed: {done} kills, {disturbed.started} workers", flush=True)
        found = differences(undisturbed, disturbed)
        ended, of_them = finished_attempts(urls[1])
        if (ended, of_them) != (trials, trials):
            found.append(f"{ended} attempts have ended, of {of_them} trials; {trials} were asked for")
        if found:
            print(disturbed.text(), flush=True)
        return done, disturbed.started, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=1, help="of the server")
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--pruner", default="none")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    given = parser.parse_args()
    killed, started, unequal = run(
        given.trials, given.workers, given.kills, given.restarts, given.sampler, given.pruner, given.seed
    )
    print(f"{killed} kills, {started} workers, {len(unequal)} differences", *unequal, sep="\n")
    sys.exit(bool(unequal))
