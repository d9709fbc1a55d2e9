"""Run commands of this program as child processes, some at a time, and show how far all of them are."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fashion_lightning import processes as own_processes
from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import is_being_trained
from fashion_lightning.runs.folder import RUN_NUMBER
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import OBSERVATION, PLACES_AND_DEVICES, flattened

POLL_SECONDS = 0.2


class Fits:
    """Child processes that threads start and wait for.

    Args:
        processes: how many run at a time; they share the cores.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.done = self.total = 0
        self.already = 0.0
        """How much of all was trained before."""
        self.stopping = threading.Event()
        self.children = own_processes.Children()
        self.fractions: dict[str, float] = {}
        console = Console(soft_wrap=True)
        columns = BarColumn(), TextColumn("{task.fields[left]}")
        self.bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self.threads: int | None = None  # as many as a fit alone takes

    @contextlib.contextmanager
    def pool(self, threads: int, what: str, total: int, done: int) -> Iterator[ThreadPoolExecutor]:
        """Open threads to call ``run`` in; on an error or a signal, let the processes save and end before it is raised.

        Args:
            threads: how many.
            what: is run: ``quick: 5 seeds``.
            total: how many.
            done: how many of them are finished already.
        """
        self.total, self.done, self.already, self.began = total, done, float(done), time.monotonic()
        self.bar.add_task("", total=total, completed=done, left="")
        self.say(f"{what}, {total - done} to run, {self.processes} at a time")
        if self.processes > 1 and done < total and "OMP_NUM_THREADS" not in os.environ:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            self.threads = max(1, cores // self.processes)
            self.say(
                f"Each takes {self.threads} {'thread' if self.threads == 1 else 'threads'}. A fit alone takes all, and"
                f" its weights differ in the last bits: for the same ones, OMP_NUM_THREADS={self.threads}"
                " fashion-lightning fit, or --processes 1 here."
            )
        try:
            with self.children, self.bar, ThreadPoolExecutor(threads) as pool:
                try:
                    yield pool
                except BaseException:
                    self.stopping.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        except BaseException:
            self.say("The same command goes on from here.")
            raise

    def run(
        self,
        label: str,
        command: Sequence[str],
        run_dir: Path,
        each_epoch: Callable[[], None] = lambda: None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Run a command in a process of its own until it ends.

        Args:
            label: what the run is called: ``seed 3``.
            command: without the program.
            run_dir: the run folder. A new fit must lie where ``fit`` puts runs of its recipe.
            each_epoch: called after each epoch; an exception ends the process, which saves a checkpoint.
            part: which run of how many with this label.

        Raises:
            UserError: it failed; with the last line that it printed.
            SystemExit: it was ended because this process ends.
        """
        begun = read_progress(run_dir)
        environment = {RUN_NUMBER: run_dir.name.removeprefix("version_")}
        if self.threads is not None and begun is None:  # a run that is continued keeps its threads by itself
            environment["OMP_NUM_THREADS"] = str(self.threads)
        if begun is not None and label not in self.fractions:
            self.already += begun.fraction / part[1]
        epoch = 0
        with tempfile.TemporaryFile() as output:
            program = [*own_processes.PROGRAM, *command]
            process = self.children.start(program, environment, stdout=output, stderr=subprocess.STDOUT)
            try:
                while process.poll() is None and not self.stopping.wait(POLL_SECONDS):
                    progress = read_progress(run_dir)
                    if progress is None or progress.pid != process.pid:
                        continue
                    self.fractions[label] = (part[0] + progress.fraction) / part[1]
                    self._update()
                    if progress.epoch > epoch:
                        epoch = progress.epoch
                        each_epoch()
            finally:
                if process.poll() is None:
                    process.terminate()
                process.wait()
                with contextlib.suppress(OSError):  # it failed before it wrote anything there
                    run_dir.rmdir()
            if self.stopping.is_set():
                raise SystemExit
            if process.returncode:
                output.seek(0)
                raise UserError(_complaint(process.returncode, output.read()))

    def wait_for_others(self, label: str, run_dir: Path) -> None:
        """Wait until no other process trains a run; say which one does."""
        if is_being_trained(run_dir):
            progress = read_progress(run_dir)
            process = f"process {progress.pid}" if progress else "another process"
            self.say(f"{label}   waits for {process}, which trains it in {run_dir}")
        while is_being_trained(run_dir):
            if self.stopping.wait(POLL_SECONDS):
                raise SystemExit

    def end(self, label: str, line: str) -> None:
        """Count a label as done, and say what came of it."""
        self.fractions.pop(label, None)
        self.done += 1
        self.say(f"{label}   {line}   {self._update()}")

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.bar.console.print(line, highlight=False, markup=False)

    def _update(self) -> str:
        completed, text = self.done + sum(self.fractions.values()), f"{self.done} of {self.total} done"
        if self.already < completed < self.total:
            seconds = (self.total - completed) * (time.monotonic() - self.began) / (completed - self.already)
            text += f", about {f'{seconds / 60:.0f} min' if seconds > 90 else f'{seconds:.0f} s'} left"
        self.bar.update(self.bar.task_ids[0], completed=completed, left=text)
        return text


def _complaint(code: int, output: bytes) -> str:
    """Return the error that a process printed last, or the signal that ended it."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return (output.decode(errors="replace").strip().splitlines() or [""])[-1].removeprefix("error: ")


def typed(value: Any) -> str:
    """Return a value as it is typed after a flag."""
    return value if isinstance(value, str) else json.dumps(value)


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """Return settings, by their dotted names, as flags of ``fit``."""
    return [f"--{key}={typed(value)}" for key, value in settings.items()]


def flags_to_continue(config: dict[str, Any], keys: Sequence[str] = (*PLACES_AND_DEVICES, *OBSERVATION)) -> list[str]:
    """Return the settings of a config that must be typed again to continue a run, or those of other names."""
    return as_flags({key: value for key, value in flattened(config) if key.startswith(tuple(keys))})
