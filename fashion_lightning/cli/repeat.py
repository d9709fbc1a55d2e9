"""``fashion-lightning repeat``: one recipe with several seeds, each a run of its own.

Every run is a process of the ordinary ``fit`` command. One at a time, it ends with the weights that ``fit
--seed_everything SEED`` gives alone, to the bit; several at a time share the threads, and sums by another
number of threads differ in their last bits. A run keeps the number of threads that it began with. Runs
that are finished are not run again, and interrupted ones are continued: the same command may be typed
until all seeds are there.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fashion_lightning.cli.arguments import OneLineParser, complete
from fashion_lightning.cli.fit_settings import COMMAND
from fashion_lightning.cli.flags import expand
from fashion_lightning.cli.parent import PROGRAM, Children
from fashion_lightning.cli.repetition import Job, Repetition
from fashion_lightning.comparison.table import compare, print_table
from fashion_lightning.errors import UserError
from fashion_lightning.runs.lock import is_being_trained, lock_recipe
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import read_results

POLL_SECONDS = 0.2


class Seeds:
    """Runs what is missing of a repetition, so many seeds at a time.

    Args:
        repetition: the seeds, and what is still to be done for each.
        processes: how many at a time.
        children: starts the processes.
        console: for what is said.
    """

    def __init__(self, repetition: Repetition, processes: int, children: Children, console: Console) -> None:
        self.repetition, self.processes, self.children, self.console = repetition, processes, children, console
        self.waiting = [job for job in repetition.jobs if repetition.next_command(job)]
        self.running: list[Job] = []
        self.failures: dict[int, str] = {}
        self.threads: int | None = None  # as many as torch takes by itself, as a fit alone
        if processes > 1 and "OMP_NUM_THREADS" not in os.environ:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            self.threads = max(1, cores // processes)
        for job in repetition.jobs:
            job.done = job not in self.waiting
            job.already = job.progress = float(job.done)

    def run(self) -> None:
        """Run until nothing is missing; on any interruption, let the processes save and end."""
        self._say_what_is_to_come()
        began = time.monotonic()
        columns = BarColumn(), TextColumn("{task.fields[left]}")
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bar:
            task = bar.add_task("", total=len(self.repetition.jobs), left="")
            try:
                while self.waiting or self.running:
                    self._start_some()
                    time.sleep(POLL_SECONDS)
                    for job in self.running:
                        self._follow(job)
                    for job in [job for job in self.running if self._has_ended(job)]:
                        self.running.remove(job)
                        self._say(f"{self._outcome(job)}   {self._left(began)}")
                    done = sum(job.progress for job in self.repetition.jobs)
                    bar.update(task, completed=done, left=self._left(began))
            except BaseException:
                for job in self.running:
                    if job.process is not None:
                        job.process.terminate()
                for job in self.running:
                    if job.process is not None:
                        job.process.wait()
                self._say("The same command goes on from here.")
                raise
            finally:
                for job in self.repetition.jobs:
                    job.close()

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)

    def _say_what_is_to_come(self) -> None:
        name, seeds = self.repetition.name, len(self.repetition.jobs)
        self._say(f"{name}: {seeds} seeds, {len(self.waiting)} to run, {self.processes} at a time")
        if self.waiting and self.threads is not None:
            threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
            self._say(
                f"Each takes {threads}. A fit alone takes all, and its weights differ in the last bits: for the same"
                f" ones, OMP_NUM_THREADS={self.threads} fashion-lightning fit, or --processes 1 here."
            )

    def _start_some(self) -> None:
        for job in list(self.waiting):
            if len(self.running) == self.processes:
                return
            if job.elsewhere and job.run_dir is not None and is_being_trained(job.run_dir):
                continue
            job.run_dir, job.elsewhere = self.repetition.run_of(job.seed), False
            if job.run_dir is not None and is_being_trained(job.run_dir):
                job.elsewhere = True
                progress = read_progress(job.run_dir)
                process = f"process {progress.pid}" if progress else "another process"
                self._say(f"seed {job.seed}   waits for {process}, which trains it in {job.run_dir}")
                continue
            self.waiting.remove(job)
            self.running.append(job)
            self._start_next(job)

    def _start_next(self, job: Job) -> None:
        """Start the next command of a seed, if there is one."""
        command = self.repetition.next_command(job)
        if command is None:  # another process has done it
            return
        begun = read_progress(job.run_dir) if job.run_dir is not None else None
        if job.process is None and begun is not None:
            job.already = job.progress = begun.fraction
        # A run that goes on keeps its threads by itself.
        threads = {} if begun or self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        job.start(self.children, PROGRAM, command, threads)

    def _follow(self, job: Job) -> None:
        """How far a process is, by what it writes in its run folder."""
        if job.process is None:
            return
        if job.run_dir is None:
            job.run_dir = self.repetition.folder_of_process(job.process.pid)
        progress = read_progress(job.run_dir) if job.run_dir is not None else None
        if progress is not None and progress.pid == job.process.pid:
            job.progress = progress.fraction

    def _has_ended(self, job: Job) -> bool:
        """Whether nothing is left to do for a seed; starts its next command if there is one."""
        if job.process is not None and job.process.poll() is None:
            return False
        if job.process is not None and job.process.returncode:
            self.failures[job.seed] = f"seed {job.seed} failed: {job.complaint()}"
        else:
            job.run_dir = job.run_dir or self.repetition.run_of(job.seed)
            try:
                command = self.repetition.next_command(job)
            except UserError as error:
                self.failures[job.seed] = f"seed {job.seed}: {error}"
            else:
                if command is not None and command != job.command:
                    self._start_next(job)
                    return False
                if command is not None:
                    self.failures[job.seed] = f"seed {job.seed}: `{' '.join(command)}` ended without results"
        job.done, job.progress = True, 1.0
        return True

    def _outcome(self, job: Job) -> str:
        if job.seed in self.failures:
            return self.failures[job.seed]
        assert job.run_dir is not None
        results = read_results(job.run_dir)  # next_command has read it already
        metrics = [f"validation {100 * results.fit['best']['val/accuracy']:.2f} %"]
        metrics += [f"test {100 * results.tests['none']['accuracy']:.2f} %"] if "none" in results.tests else []
        return f"seed {job.seed}   {'   '.join(metrics)}   {results.fit['fit_seconds']:.0f} s   {job.run_dir}"

    def _left(self, began: float) -> str:
        jobs = self.repetition.jobs
        trained = sum(job.progress - job.already for job in jobs)
        left = sum(1 - job.progress for job in jobs)
        count = f"{sum(job.done for job in jobs)} of {len(jobs)} done"
        if not left or trained <= 0:
            return count
        seconds = left * (time.monotonic() - began) / trained
        return f"{count}, about {f'{seconds / 60:.0f} min' if seconds > 90 else f'{seconds:.0f} s'} left"


def settings_of(fit_options: Sequence[str], children: Children) -> dict[str, Any]:
    """Every setting that ``fit`` would train with.

    Raises:
        SystemExit: ``fit`` would refuse these options, and has said why.
    """
    with tempfile.TemporaryFile() as file:
        process = children.start([*PROGRAM, COMMAND, *fit_options], stdout=file)
        try:
            code = process.wait()
        except BaseException:
            process.kill()  # it has nothing to save
            process.wait()
            raise
        if code:
            raise SystemExit(code if code > 0 else 128 - code)
        file.seek(0)
        config: dict[str, Any] = yaml.safe_load(file.read())
        return config


def main(arguments: Sequence[str]) -> None:
    """The subcommand.

    Args:
        arguments: those after ``repeat``.

    Raises:
        UserError: the options cannot be used, another ``repeat`` of this recipe runs, or a run failed.
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
    typed = {option.partition("=")[0] for option in expand(fit_options)}
    for option, reason in (
        ("--seed_everything", f"the seeds are 0 to {given.seeds - 1}: leave --seed_everything out."),
        ("--ckpt_path", "repeat finds the runs to continue by itself: leave --ckpt_path out."),
    ):
        if option in typed:
            raise UserError(reason)
    name = complete(["fit", *fit_options]).name
    with Children() as children:
        repetition = Repetition(name, settings_of(fit_options, children), fit_options, given.seeds, given.test)
        repetition.folder.mkdir(parents=True, exist_ok=True)
        lock_recipe(repetition.folder)
        seeds = Seeds(repetition, given.processes, children, Console(soft_wrap=True))
        seeds.run()
    print_table(compare([job.run_dir for job in repetition.jobs if job.run_dir is not None]))
    if seeds.failures:
        failures = "; ".join(failure for _, failure in sorted(seeds.failures.items()))
        raise UserError(f"{failures}. The same command repeats what is missing.")
