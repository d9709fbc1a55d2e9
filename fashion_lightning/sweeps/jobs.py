"""Fits that a command runs as processes of their own: for ``repeat`` one a seed, for ``sweep`` one a trial."""

import json
import os
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fashion_lightning import children as parent
from fashion_lightning.children import Children
from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import is_being_trained
from fashion_lightning.runs.progress import read_progress

POLL_SECONDS = 0.2


@dataclass(kw_only=True, eq=False)
class Job:
    """What is done by commands one after the other, each a process: fits, and perhaps their tests."""

    label: str
    """What it is called where it is told of: ``seed 3``."""
    run_dir: Path | None = None
    command: list[str] = field(default_factory=list)
    """What its process was started with, without the program."""
    process: "subprocess.Popen[bytes] | None" = None
    output: IO[bytes] | None = None
    """What its process prints: a file without a name, of which nothing is left behind."""
    already: float = 0.0
    """Fraction of its way that an earlier command had trained."""
    progress: float = 0.0
    """Fraction of its way that is trained."""
    done: bool = False
    failure: str = ""
    """Why it came to nothing."""

    def start(self, children: Children, command: list[str], environment: Mapping[str, str]) -> None:
        """Start its next command."""
        self.close()
        self.command = command
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - the process writes there while this one goes on
        self.process = children.start([*parent.PROGRAM, *command], environment, self.output, subprocess.STDOUT)

    def close(self) -> None:
        """Forget what its process has printed."""
        if self.output is not None:
            self.output.close()

    def complaint(self) -> str:
        """The last line that its process wrote, which is the error's; or the signal that ended it."""
        assert self.process is not None
        assert self.output is not None
        if self.process.returncode < 0:
            return f"it was ended by {signal.Signals(-self.process.returncode).name}"
        self.output.seek(0)
        lines = self.output.read().decode(errors="replace").strip().splitlines() or [""]
        return lines[-1].removeprefix("error: ")


J = TypeVar("J", bound=Job)

Say = Callable[[str], None]


class Work(ABC, Generic[J]):
    """Jobs, and what is to be done for each: a new fit, the rest of one, a test, or nothing.

    Attributes:
        name: of the folder of runs.
        kind: what the jobs are, in the plural.
        folder: that the runs lie in.
        jobs: all of them; of those that are finished, ``done`` is set.
    """

    name: str
    kind: str
    folder: Path
    jobs: list[J]

    @abstractmethod
    def take(self, say: Say) -> J | None:
        """The next job to start, if one can be started now."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether ``take`` will never give another one."""

    @abstractmethod
    def next_command(self, job: J) -> list[str] | None:
        """What is still to be done for a job.

        Raises:
            UserError: its run cannot be used.
        """

    def environment(self, job: J) -> dict[str, str]:
        """What a job's process gets beside the environment of this one."""
        return {}

    def way(self, job: J, fraction: float) -> float:
        """Fraction of a job's way that is behind it, when its present run is so far."""
        return fraction

    def follow(self, job: J) -> None:
        """Look at a job whose process runs; called every now and then."""

    @abstractmethod
    def end(self, job: J) -> str | None:
        """Take a job that has ended, perhaps with a ``failure``, and say what came of it.

        Returns:
            One line; ``None`` if it cannot be taken now, and is to be asked for again.
        """

    def release(self, jobs: Sequence[J]) -> None:
        """Give back jobs that were taken and whose processes were ended."""


class Runner(Generic[J]):
    """Runs what is missing of a work, so many jobs at a time.

    Args:
        work: the jobs.
        processes: how many at a time.
        children: starts the processes.
        console: for what is said.
    """

    def __init__(self, work: Work[J], processes: int, children: Children, console: Console) -> None:
        self.work, self.processes, self.children, self.console = work, processes, children, console
        self.running: list[J] = []
        self.threads: int | None = None  # as many as torch takes by itself, as a fit alone
        if processes > 1 and "OMP_NUM_THREADS" not in os.environ:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            self.threads = max(1, cores // processes)
        for job in work.jobs:
            job.already = job.progress = float(job.done)

    def run(self) -> None:
        """Run until nothing is missing; on any interruption, let the processes save and end."""
        self._say_what_is_to_come()
        began = time.monotonic()
        columns = BarColumn(), TextColumn("{task.fields[left]}")
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bar:
            task = bar.add_task("", total=len(self.work.jobs), left="")
            try:
                while self.running or not self.work.is_empty():
                    self._start_some()
                    time.sleep(POLL_SECONDS)
                    for job in self.running:
                        self._follow(job)
                    for job in [job for job in self.running if self._has_ended(job)]:
                        job.done = True
                        line = self.work.end(job)
                        if line is None:
                            job.done = False
                            continue
                        self.running.remove(job)
                        job.progress = 1.0
                        self._say(f"{line}   {self._left(began)}")
                    done = sum(job.progress for job in self.work.jobs)
                    bar.update(task, completed=done, left=self._left(began))
            except BaseException:
                for job in self.running:
                    if job.process is not None:
                        job.process.terminate()
                for job in self.running:
                    if job.process is not None:
                        job.process.wait()
                self.work.release(self.running)
                self._say("The same command goes on from here.")
                raise
            finally:
                for job in self.work.jobs:
                    job.close()

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)

    def _say_what_is_to_come(self) -> None:
        jobs = self.work.jobs
        missing = sum(not job.done for job in jobs)
        self._say(f"{self.work.name}: {len(jobs)} {self.work.kind}, {missing} to run, {self.processes} at a time")
        if missing and self.threads is not None:
            threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
            self._say(
                f"Each takes {threads}. A fit alone takes all, and its weights differ in the last bits: for the same"
                f" ones, OMP_NUM_THREADS={self.threads} fashion-lightning fit, or --processes 1 here."
            )

    def _start_some(self) -> None:
        while len(self.running) < self.processes:
            job = self.work.take(self._say)
            if job is None:
                return
            self.running.append(job)
            self._start_next(job)

    def _start_next(self, job: J) -> None:
        """Start the next command of a job, if there is one."""
        command = self.work.next_command(job)
        if command is None:  # another process has done it
            return
        begun = read_progress(job.run_dir) if job.run_dir is not None else None
        if job.process is None and begun is not None:
            job.already = job.progress = self.work.way(job, begun.fraction)
        # A run that goes on keeps its threads by itself.
        threads = {} if begun or self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        job.start(self.children, command, {**threads, **self.work.environment(job)})

    def _follow(self, job: J) -> None:
        """How far a process is, by what it writes in its run folder."""
        if job.process is None:
            return
        if job.run_dir is None:
            job.run_dir = folder_of_process(self.work.folder, job.process.pid)
        progress = read_progress(job.run_dir) if job.run_dir is not None else None
        if progress is not None and progress.pid == job.process.pid:
            job.progress = self.work.way(job, progress.fraction)
        self.work.follow(job)

    def _has_ended(self, job: J) -> bool:
        """Whether nothing is left to do for a job; starts its next command if there is one."""
        if job.process is not None and job.process.poll() is None:
            return False
        if job.process is not None and job.process.returncode:
            job.failure = f"{job.label} failed: {job.complaint()}"
            return True
        try:
            command = self.work.next_command(job)
        except UserError as error:
            job.failure = f"{job.label}: {error}"
            return True
        if command is not None and command != job.command:
            self._start_next(job)
            return False
        if command is not None:
            job.failure = f"{job.label}: `{' '.join(command)}` ended without results"
        return True

    def _left(self, began: float) -> str:
        jobs = self.work.jobs
        trained = sum(job.progress - job.already for job in jobs)
        left = sum(1 - job.progress for job in jobs)
        count = f"{sum(job.done for job in jobs)} of {len(jobs)} done"
        if not left or trained <= 0:
            return count
        seconds = left * (time.monotonic() - began) / trained
        return f"{count}, about {f'{seconds / 60:.0f} min' if seconds > 90 else f'{seconds:.0f} s'} left"


def as_typed(config: dict[str, Any], *keys: str) -> list[str]:
    """Return settings of a config, by their dotted names, as they would be typed."""
    typed = []
    for key in keys:
        value: Any = config
        for part in key.split("."):
            value = value[part]
        typed.append(f"--{key}={value if isinstance(value, str) else json.dumps(value)}")
    return typed


def folder_of_process(folder: Path, pid: int) -> Path | None:
    """The run folder that a process trains in, once it has begun."""
    for run_dir in folder.glob("version_*"):
        progress = read_progress(run_dir)
        # A process of an earlier day may have had the same number.
        if progress is not None and progress.pid == pid and is_being_trained(run_dir):
            return run_dir
    return None
