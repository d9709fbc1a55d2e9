"""Run commands as child processes, some at a time; repeat a recipe with several seeds or folds."""

import contextlib
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
from fashion_lightning.from_python import typed
from fashion_lightning.report.comparison_table import compare
from fashion_lightning.report.comparison_text import print_comparison
from fashion_lightning.runs import processes as own_processes
from fashion_lightning.runs.folder import RUN_DIR, new_run_dir, versions
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
    """Child processes that threads start and wait for; ``processes`` at a time share the cores."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.stopping = threading.Event()
        self.children = own_processes.Children()
        self.threads: int | None = None  # OMP_NUM_THREADS of each; None: not set

    @contextlib.contextmanager
    def pool(self, threads: int, what: str, total: int, done: int = 0) -> Iterator[ThreadPoolExecutor]:
        """Yield threads that can call ``run``; on an error or a signal, first let the child processes save and end.

        ``what`` names the runs, in the plural: ``total`` of them, of which ``done`` are finished already.
        """
        self.total, self.done = total, done
        print(f"{what}: {total}, {self.processes} at a time", flush=True)
        if self.processes > 1 and "OMP_NUM_THREADS" not in os.environ:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            self.threads = max(1, cores // self.processes)
            print(
                f"Each fit uses OMP_NUM_THREADS={self.threads}. A single fit uses all threads, so its weights"
                " would differ in the last bits."
            )
        with self.children, ThreadPoolExecutor(threads) as pool:
            try:
                yield pool
            except BaseException:
                self.stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                print("The same command continues from here.", flush=True)
                raise

    def run(self, command: Sequence[str], run_dir: Path, each_epoch: Callable[[], None] = lambda: None) -> None:
        """Run a command in a child process until it ends.

        Args:
            command: its arguments, without the program.
            run_dir: the run folder.
            each_epoch: called after epochs but the last; if it raises, the child saves a checkpoint and ends.

        Raises:
            UserError: the command failed; the message is the last line that it printed.
            SystemExit: this process is ending.
        """
        # Unbuffered: otherwise an error could come before earlier output, and not be the last line.
        environment = {RUN_DIR: str(run_dir), "PYTHONUNBUFFERED": "1"}
        run_dir.mkdir(parents=True, exist_ok=True)
        # A run that continues keeps its number of threads.
        if self.threads is not None and not (read_progress(run_dir) and any(run_dir.glob("checkpoints/*.ckpt"))):
            environment["OMP_NUM_THREADS"] = str(self.threads)
        epoch = 0
        with tempfile.TemporaryFile() as output:
            process = self.children.start(
                [*own_processes.PROGRAM, *command], environment, stdout=output, stderr=subprocess.STDOUT
            )
            try:
                while process.poll() is None and not self.stopping.wait(POLL_SECONDS):
                    progress = read_progress(run_dir)
                    if (
                        progress is not None
                        and progress.pid == process.pid
                        and epoch < progress.epoch != progress.epochs
                    ):
                        epoch = progress.epoch
                        each_epoch()
            finally:
                process.terminate()
                process.wait()
                with contextlib.suppress(OSError):  # only if it failed before it wrote anything there
                    run_dir.rmdir()
            if self.stopping.is_set():
                raise SystemExit
            if process.returncode:
                output.seek(0)
                last = (output.read().decode(errors="replace").strip().splitlines() or [""])[-1]
                killed = process.returncode < 0 and f"ended by {signal.Signals(-process.returncode).name}"
                raise UserError(killed or last.removeprefix("error: "))

    def wait_for_others(self, label: str, run_dir: Path) -> None:
        """Wait while another process trains a run."""
        if is_being_trained(run_dir):
            print(f"{label}   waits for another process, which trains it in {run_dir}", flush=True)
        while is_being_trained(run_dir):
            if self.stopping.wait(POLL_SECONDS):
                raise SystemExit

    def end(self, label: str, line: str) -> None:
        """Count a run as done, and print its result."""
        self.done += 1
        print(f"{label}   {line}   {self.done} of {self.total} done", flush=True)


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """Return settings, given by their dotted names, as flags of ``fit``."""
    return [f"--{key}={typed(value)}" for key, value in settings.items()]


def flags_to_continue(config: dict[str, Any], keys: Sequence[str] = (*PLACES_AND_DEVICES, *OBSERVATION)) -> list[str]:
    """Return flags for the settings whose names begin with ``keys``: by default, those that may change in a run."""
    return as_flags({key: value for key, value in flattened(config) if key.startswith(tuple(keys))})


def fit_command(run_dir: Path, begin: Sequence[str], config: dict[str, Any]) -> list[str]:
    """Return the command that starts a run with the options ``begin``, or continues it if it has a checkpoint."""
    has_begun = any(run_dir.glob("checkpoints/*.ckpt"))
    return ["fit", *(["--ckpt_path", str(run_dir), *flags_to_continue(config)] if has_begun else begin)]


FOR_TESTS = (*PLACES_AND_DEVICES, "trainer.enable_progress_bar", "trainer.limit_test_batches")


class Repetition:
    """The runs of one recipe with several seeds, or on several folds, each with its own seed.

    Args:
        name, config: the recipe, and all settings of its fit as plain values.
        fit_options: the options of ``fit`` that the user typed.
        test: also run ``test`` on each best checkpoint, without test-time augmentation and with the recipe's kind of it
            (``flip`` if it has none).
        folds: the number of folds; 0 to vary only the seed.
    """

    def __init__(
        self, name: str, config: dict[str, Any], fit_options: Sequence[str], test: bool, folds: int = 0
    ) -> None:
        self.name, self.config, self.fit_options, self.test, self.folds = name, config, list(fit_options), test, folds
        self.recipe = recipe_settings(config)
        self.tta = "flip" if config["model"]["tta"] == "none" else config["model"]["tta"]
        self.folder = Path(config["trainer"]["default_root_dir"]).expanduser() / name

    def fold_of(self, seed: int) -> str | None:
        """Return the fold of a seed; without ``folds``, the fold that the user typed."""
        return f"{seed + 1}/{self.folds}" if self.folds else self.config["data"]["fold"]

    def run_of(self, seed: int) -> Path | None:
        """Return the most advanced run folder of this recipe and seed, which another process may be training."""
        candidates = []
        for run_dir in versions(self.folder):
            with contextlib.suppress(UserError):
                config = read_config(run_dir)
                same = config["seed_everything"] == seed and config["data"].get("fold") == self.fold_of(seed)
                if same and recipe_settings(config) == self.recipe:
                    has_checkpoint = any(run_dir.glob("checkpoints/*.ckpt"))
                    candidates.append((has_report(run_dir), is_being_trained(run_dir), has_checkpoint, run_dir))
        return max(candidates)[-1] if candidates else None

    def label(self, seed: int) -> str:
        """Return the name of a seed's run for messages."""
        return f"fold {self.fold_of(seed)}" if self.folds else f"seed {seed}"

    def train(self, seed: int, fits: Fits) -> None:
        """Run the commands that a seed still needs, and print its results.

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
            command = ["test", "--ckpt_path", str(run_dir), *flags_to_continue(self.config, FOR_TESTS)]
            fits.run([*command, f"--model.tta={self.tta}"], run_dir)
            results = read_results(run_dir)
        tested = f"   test {100 * results.tests['none']['accuracy']:.2f} %" if "none" in results.tests else ""
        validated = (
            f"validation {100 * results.fit['best']['val/accuracy']:.2f} %"
            if "val/accuracy" in results.fit["best"]
            else "not validated"  # a metric of training chose the epoch
        )
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
    """Fit a recipe with each of the seeds 0, 1, 2 and so on that has no finished run; print a table of the runs.

    With ``folds``, which equals ``seeds``, each run validates on another fold.

    Raises:
        UserError: another ``repeat`` of this recipe is running, or a run failed.
    """
    repetition = Repetition(name, config, fit_options, test, folds)
    repetition.folder.mkdir(parents=True, exist_ok=True)
    if not lock_for_life(repetition.folder / ".repeat.lock"):  # two repeats would train each seed twice
        raise UserError(
            f"Another repeat of {name} is running, in {repetition.folder}. Wait for it or stop it; then try again."
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
        raise UserError(f"{'; '.join(failures).rstrip('.')}. Type the same command again for the missing runs.")
