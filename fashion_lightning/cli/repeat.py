"""``fashion-lightning repeat``: one recipe with several seeds, each a run of its own.

Every run is a process of the ordinary ``fit`` command, so that it ends with the weights that ``fit
--seed_everything SEED`` gives alone. Runs that are finished are not run again, and interrupted ones
are continued: the same command may be typed until all seeds are there.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fashion_lightning.cli.arguments import OneLineParser, complete
from fashion_lightning.comparison.table import compare, print_table
from fashion_lightning.errors import UserError
from fashion_lightning.runs.results import has_report, read_config, read_results, recipe_settings

PROGRAM = (sys.executable, "-m", "fashion_lightning")

POLL_SECONDS = 0.2


@dataclass
class Job:
    """One seed on its way through ``fit`` and perhaps ``test``."""

    seed: int
    log: Path
    run_dir: Path | None
    process: subprocess.Popen[bytes] | None = None
    already: float = 0.0
    """Fraction of its epochs that an earlier command had trained."""
    progress: float = 0.0
    """Fraction of its epochs that are trained."""
    done: bool = False

    def follow(self, max_epochs: int) -> None:
        """Read the progress off the bars that ``fit`` writes at the end of each epoch."""
        epochs = [int(number) for number in re.findall(r"Epoch (\d+): 100%", self.log.read_text(errors="replace"))]
        if epochs and max_epochs > 0:
            self.already, self.progress = min(epochs) / max_epochs, (max(epochs) + 1) / max_epochs

    def complaint(self) -> str:
        """The last line that the process wrote."""
        lines = re.split(r"[\r\n]+", self.log.read_text(errors="replace").strip())
        return lines[-1].removeprefix("error: ")


class Repetition:
    """All seeds of one recipe.

    Args:
        fit_options: what the user typed for ``fit``.
        seeds: how many; 0, 1, 2 and so on.
        test: also run ``test`` on each best checkpoint, with and without test-time augmentation: that of
            the recipe, else flip averaging.
        scratch: folder for what the processes print.

    Raises:
        UserError: ``fit`` cannot take these options.
    """

    def __init__(self, fit_options: Sequence[str], seeds: int, test: bool, scratch: Path) -> None:
        self.fit_options, self.test = list(fit_options), test
        self.name = complete(["fit", *fit_options]).name
        config = self._config()
        self.settings = recipe_settings(config)
        self.tta = "flip" if config["model"]["tta"] == "none" else config["model"]["tta"]
        self.folder = Path(config["trainer"]["default_root_dir"]) / self.name
        self.max_epochs = config["trainer"]["max_epochs"] or -1
        self.jobs = [Job(seed, scratch / f"seed_{seed}.txt", self._run_of(seed)) for seed in range(seeds)]
        self.failures: list[str] = []

    def _config(self) -> dict[str, Any]:
        """Every setting that ``fit`` would use; also the check that it takes these options at all."""
        done = subprocess.run([*PROGRAM, "fit", *self.fit_options, "--print_config"], capture_output=True, text=True)
        if done.returncode:
            raise UserError((done.stderr.strip().splitlines() or ["fit failed"])[-1].removeprefix("error: "))
        config: dict[str, Any] = yaml.safe_load(done.stdout)
        if config["trainer"]["fast_dev_run"]:
            raise UserError("repeat needs runs that are saved: leave trainer.fast_dev_run out.")
        return config

    def _run_of(self, seed: int) -> Path | None:
        """The run folder of this recipe with this seed that got furthest."""
        candidates = []
        for run_dir in self.folder.glob("version_*"):
            try:
                config = read_config(run_dir)
            except UserError:
                continue
            if config["seed_everything"] == seed and recipe_settings(config) == self.settings:
                candidates.append(([has_report(run_dir), any(run_dir.glob("checkpoints/*.ckpt"))], run_dir))
        furthest = max(candidates, default=None)
        return furthest[1] if furthest and any(furthest[0]) else None

    def next_command(self, job: Job) -> list[str] | None:
        """What is still to be done for a seed.

        Raises:
            UserError: its run has a report, but one without metrics.
        """
        if job.run_dir is None:
            return ["fit", *self.fit_options, "--seed_everything", str(job.seed)]
        if not has_report(job.run_dir):
            return ["fit", "--ckpt_path", str(job.run_dir)]
        try:
            results = read_results(job.run_dir)
        except UserError as error:  # a run without validation, say
            raise UserError(f"{job.run_dir}: {error}") from error
        if self.test and not {"none", self.tta} <= results.tests.keys():
            return ["test", "--ckpt_path", str(job.run_dir), "--model.tta", self.tta]
        return None

    def run(self, processes: int) -> None:
        """Run what is missing, so many seeds at a time; on any interruption, let the processes save and end."""
        waiting = [job for job in self.jobs if self.next_command(job)]
        for job in self.jobs:
            job.done = job not in waiting
            job.already = job.progress = float(job.done)
        running: list[Job] = []
        print(f"{self.name}: {len(self.jobs)} seeds, {len(waiting)} to run, {processes} at a time", flush=True)
        began = time.monotonic()
        console = Console(soft_wrap=True)
        columns = BarColumn(), TextColumn("{task.fields[left]}")
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=len(self.jobs), left="")
            try:
                while waiting or running:
                    while waiting and len(running) < processes:
                        running.append(waiting.pop(0))
                        self._start(running[-1], processes)
                    time.sleep(POLL_SECONDS)
                    for job in list(running):
                        job.follow(self.max_epochs)
                        if self._ended(job, processes):
                            running.remove(job)
                            console.print(f"{self._outcome(job)}   {self._left(began)}", highlight=False, markup=False)
                    bar.update(task, completed=sum(job.progress for job in self.jobs), left=self._left(began))
            except BaseException:
                for job in running:
                    if job.process is not None:
                        job.process.terminate()
                for job in running:
                    if job.process is not None:
                        job.process.wait()
                print("The same command goes on from here.", flush=True)
                raise

    def _start(self, job: Job, processes: int) -> None:
        command = self.next_command(job)
        assert command is not None
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = str(max(1, cores // processes))
        with job.log.open("wb") as log:
            job.process = subprocess.Popen(
                [*PROGRAM, *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"OMP_NUM_THREADS": threads, **os.environ},
                start_new_session=True,  # Ctrl-C reaches this process only, which hands on a single signal
            )

    def _ended(self, job: Job, processes: int) -> bool:
        """Whether nothing is left to do for a seed; starts its next command if there is one."""
        assert job.process is not None
        code = job.process.poll()
        if code is None:
            return False
        if code:
            self.failures.append(f"seed {job.seed} failed: {job.complaint()}")
            job.done, job.progress = True, 1.0
            return True
        before, job.run_dir = self.next_command(job), self._run_of(job.seed)
        try:
            command = self.next_command(job)
        except UserError as error:
            self.failures.append(f"seed {job.seed}: {error}")
            job.done, job.progress = True, 1.0
            return True
        if command is not None and command != before:
            self._start(job, processes)
            return False
        if command is not None:
            self.failures.append(f"seed {job.seed}: `{' '.join(command)}` ended without results")
        job.done, job.progress = True, 1.0
        return True

    def _outcome(self, job: Job) -> str:
        if self.failures and self.failures[-1].startswith(f"seed {job.seed}"):
            return self.failures[-1]
        assert job.run_dir is not None
        results = read_results(job.run_dir)  # next_command has read it already
        metrics = [f"validation {100 * results.fit['best']['val/accuracy']:.2f} %"]
        metrics += [f"test {100 * results.tests['none']['accuracy']:.2f} %"] if "none" in results.tests else []
        return f"seed {job.seed}   {'   '.join(metrics)}   {results.fit['fit_seconds']:.0f} s   {job.run_dir}"

    def _left(self, began: float) -> str:
        done = sum(job.done for job in self.jobs)
        trained = sum(job.progress - job.already for job in self.jobs)
        left = sum(1 - job.progress for job in self.jobs)
        count = f"{done} of {len(self.jobs)} done"
        if not left or not trained:
            return count
        seconds = left * (time.monotonic() - began) / trained
        return f"{count}, about {f'{seconds / 60:.0f} min' if seconds > 90 else f'{seconds:.0f} s'} left"


def main(arguments: Sequence[str]) -> None:
    """The subcommand.

    Args:
        arguments: those after ``repeat``.

    Raises:
        UserError: the options cannot be used, or a run failed.
    """
    parser = OneLineParser(
        "fashion-lightning repeat",
        usage="%(prog)s [--seeds N] [--processes N] [--test] [any option of fit]",
        description=__doc__,
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many: 0, 1, 2 and so on (default: 5)")
    parser.add_argument("--processes", type=int, default=1, help="seeds at a time; they share the threads (default: 1)")
    parser.add_argument("--test", action="store_true", help="also test each best checkpoint, with and without TTA")
    given, fit_options = parser.parse_known_args(list(arguments))
    if given.seeds < 1 or given.processes < 1:
        raise UserError("--seeds and --processes must be at least 1.")
    typed = {option.partition("=")[0] for option in fit_options}
    for option, reason in (
        ("--seed_everything", f"the seeds are 0 to {given.seeds - 1}: leave --seed_everything out."),
        ("--ckpt_path", "repeat finds the runs to continue by itself: leave --ckpt_path out."),
    ):
        if option in typed:
            raise UserError(reason)
    with tempfile.TemporaryDirectory() as scratch:
        repetition = Repetition(fit_options, given.seeds, given.test, Path(scratch))
        repetition.run(given.processes)
    print_table(compare([job.run_dir for job in repetition.jobs if job.run_dir is not None]))
    if repetition.failures:
        raise UserError(f"{'; '.join(repetition.failures)}. The same command repeats what is missing.")
