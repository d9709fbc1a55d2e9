"""Run fits as child processes, some at a time: any, and those of one recipe with several seeds."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import is_being_trained, lock_for_life
from fashion_lightning.report.comparison_table import compare
from fashion_lightning.report.comparison_text import print_comparison
from fashion_lightning.runs import processes as own_processes
from fashion_lightning.runs.folder import RUN_NUMBER, new_run_dir
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import (
    OBSERVATION,
    PLACES_AND_DEVICES,
    flattened,
    has_report,
    read_config,
    read_results,
    recipe_settings,
)

POLL_SECONDS = 0.2


class Fits:
    """Child processes that threads start and wait for; so many at a time share the cores."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.stopping = threading.Event()
        self.children = own_processes.Children()
        self.threads: int | None = None  # as many as a fit alone takes

    @contextlib.contextmanager
    def pool(self, threads: int, what: str, total: int, done: int = 0) -> Iterator[ThreadPoolExecutor]:
        """Open threads to call ``run`` in; on an error or a signal, let the processes save and end before it is raised.

        ``what`` is the kind of run, in the plural, of which there are ``total`` and ``done`` are finished already.
        """
        self.total, self.done = total, done
        print(f"{what}: {total}, {self.processes} at a time", flush=True)
        if self.processes > 1 and "OMP_NUM_THREADS" not in os.environ:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            self.threads = max(1, cores // self.processes)
            print(
                f"Each takes OMP_NUM_THREADS={self.threads}. A fit alone takes all threads, and its weights differ in"
                " the last bits."
            )
        with self.children, ThreadPoolExecutor(threads) as pool:
            try:
                yield pool
            except BaseException:
                self.stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                print("The same command goes on from here.", flush=True)
                raise

    def run(self, command: Sequence[str], run_dir: Path, each_epoch: Callable[[], None] = lambda: None) -> None:
        """Run a command in a process of its own until it ends.

        Args:
            command: without the program.
            run_dir: the run folder. A new fit must lie where ``fit`` puts runs of its recipe.
            each_epoch: called after each epoch; an exception ends the process, which saves a checkpoint.

        Raises:
            UserError: it failed; with the last line that it printed.
            SystemExit: it was ended because this process ends.
        """
        # Unbuffered: else an error would stand before what was printed earlier, and not be the last line.
        environment = {RUN_NUMBER: run_dir.name.removeprefix("version_"), "PYTHONUNBUFFERED": "1"}
        if self.threads is not None and read_progress(run_dir) is None:  # a continued run keeps its threads by itself
            environment["OMP_NUM_THREADS"] = str(self.threads)
        epoch = 0
        with tempfile.TemporaryFile() as output:
            process = self.children.start(
                [*own_processes.PROGRAM, *command], environment, stdout=output, stderr=subprocess.STDOUT
            )
            try:
                while process.poll() is None and not self.stopping.wait(POLL_SECONDS):
                    progress = read_progress(run_dir)
                    if progress is not None and progress.pid == process.pid and progress.epoch > epoch:
                        epoch = progress.epoch
                        each_epoch()
            finally:
                process.terminate()
                process.wait()
                with contextlib.suppress(OSError):  # it failed before it wrote anything there
                    run_dir.rmdir()
            if self.stopping.is_set():
                raise SystemExit
            if process.returncode:
                output.seek(0)
                last = (output.read().decode(errors="replace").strip().splitlines() or [""])[-1]
                killed = process.returncode < 0 and f"ended by {signal.Signals(-process.returncode).name}"
                raise UserError(killed or last.removeprefix("error: "))

    def wait_for_others(self, label: str, run_dir: Path) -> None:
        """Wait until no other process trains a run."""
        if is_being_trained(run_dir):
            print(f"{label}   waits for another process, which trains it in {run_dir}", flush=True)
        while is_being_trained(run_dir):
            if self.stopping.wait(POLL_SECONDS):
                raise SystemExit

    def end(self, label: str, line: str) -> None:
        """Count a label as done, and say what came of it."""
        self.done += 1
        print(f"{label}   {line}   {self.done} of {self.total} done", flush=True)


def typed(value: Any) -> str:
    """Return a value as it is typed after a flag."""
    return value if isinstance(value, str) else json.dumps(value)


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """Return settings, by their dotted names, as flags of ``fit``."""
    return [f"--{key}={typed(value)}" for key, value in settings.items()]


def flags_to_continue(config: dict[str, Any], keys: Sequence[str] = (*PLACES_AND_DEVICES, *OBSERVATION)) -> list[str]:
    """Return the settings of a config that must be typed again to continue a run, or those of other names."""
    return as_flags({key: value for key, value in flattened(config) if key.startswith(tuple(keys))})


def fit_command(run_dir: Path, begin: Sequence[str], config: dict[str, Any]) -> list[str]:
    """Return the command that begins a run with some options, or goes on with it."""
    has_begun = any(run_dir.glob("checkpoints/*.ckpt"))
    return ["fit", *(["--ckpt_path", str(run_dir), *flags_to_continue(config)] if has_begun else begin)]


FOR_TESTS = (*PLACES_AND_DEVICES, "trainer.enable_progress_bar", "trainer.limit_test_batches")


class Repetition:
    """All seeds of one recipe, or all folds, each with a seed of its own.

    Args:
        name, config: the recipe and every setting of its fit, as plain values.
        fit_options: what the user typed for ``fit``.
        test: also run ``test`` on each best checkpoint, without test-time augmentation and with the recipe's kind, else
            flip averaging.
        folds: how many there are; 0 for seeds alone.
    """

    def __init__(
        self, name: str, config: dict[str, Any], fit_options: Sequence[str], test: bool, folds: int = 0
    ) -> None:
        self.name, self.config, self.fit_options, self.test, self.folds = name, config, list(fit_options), test, folds
        self.recipe = recipe_settings(config)
        self.tta = "flip" if config["model"]["tta"] == "none" else config["model"]["tta"]
        self.folder = Path(config["trainer"]["default_root_dir"]) / name

    def fold_of(self, seed: int) -> str | None:
        """Return the fold that is trained with a seed; of seeds alone, the one that was typed."""
        return f"{seed + 1}/{self.folds}" if self.folds else self.config["data"]["fold"]

    def run_of(self, seed: int) -> Path | None:
        """Return the run folder of this recipe with this seed that got furthest; it may still be trained."""
        candidates = []
        for run_dir in self.folder.glob("version_*"):
            with contextlib.suppress(UserError):
                config = read_config(run_dir)
                same = config["seed_everything"] == seed and config["data"].get("fold") == self.fold_of(seed)
                if same and recipe_settings(config) == self.recipe:
                    has_checkpoint = any(run_dir.glob("checkpoints/*.ckpt"))
                    candidates.append((has_report(run_dir), is_being_trained(run_dir), has_checkpoint, run_dir))
        return max(candidates)[-1] if candidates else None

    def label(self, seed: int) -> str:
        """Name the run with a seed."""
        return f"fold {self.fold_of(seed)}" if self.folds else f"seed {seed}"

    def train(self, seed: int, fits: Fits) -> None:
        """Run what is missing for a seed, and say how good it is.

        Raises:
            UserError: a command failed, or the run has no results.
        """
        label, run_dir = self.label(seed), self.run_of(seed) or new_run_dir(self.folder.parent, self.name)
        fits.wait_for_others(label, run_dir)
        if not has_report(run_dir):
            begin = as_flags({"seed_everything": seed} | ({"data.fold": self.fold_of(seed)} if self.folds else {}))
            fits.run(fit_command(run_dir, [*self.fit_options, *begin], self.config), run_dir)
        results = read_results(run_dir)
        if self.test and not {"none", self.tta} <= results.tests.keys():
            flags = [*flags_to_continue(self.config, FOR_TESTS), f"--model.tta={self.tta}"]
            fits.run(["test", "--ckpt_path", str(run_dir), *flags], run_dir)
            results = read_results(run_dir)
        tested = f"   test {100 * results.tests['none']['accuracy']:.2f} %" if "none" in results.tests else ""
        validated = f"validation {100 * results.fit['best']['val/accuracy']:.2f} %"
        fits.end(label, f"{validated}{tested}   {results.fit['fit_seconds']:.0f} s   {run_dir}")


def repeat(
    name: str,
    config: dict[str, Any],
    fit_options: Sequence[str],
    seeds: int,
    processes: int,
    test: bool,
    folds: int = 0,
) -> None:
    """Fit a recipe with seeds 0, 1, 2 and so on, as far as that is missing, and print a table of the runs.

    With ``folds``, as many seeds, each run validates on another fold.

    Raises:
        UserError: another ``repeat`` of this recipe runs, or a run failed.
    """
    repetition = Repetition(name, config, fit_options, test, folds)
    repetition.folder.mkdir(parents=True, exist_ok=True)
    if not lock_for_life(repetition.folder / ".repeat.lock"):  # two would train every seed twice
        raise UserError(
            f"Another repeat of {name} runs, in {repetition.folder}. Wait for it or stop it; the same command goes on."
        )
    failures = []
    fits = Fits(processes)
    with fits.pool(processes, f"{'Folds' if folds else 'Seeds'} of {name}", seeds) as pool:
        futures = {pool.submit(repetition.train, seed, fits): repetition.label(seed) for seed in range(seeds)}
        for future in as_completed(futures):
            try:
                future.result()
            except UserError as error:
                failures.append(f"{futures[future]}: {error}")
                fits.end(futures[future], str(error))
    print_comparison(compare([run for seed in range(seeds) if (run := repetition.run_of(seed)) is not None]))
    if failures:
        raise UserError(f"{'; '.join(failures).rstrip('.')}. The same command repeats what is missing.")
