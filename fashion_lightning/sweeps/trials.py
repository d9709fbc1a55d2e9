"""What ``sweep`` has to do for each trial: its fits one after the other, as long as they are worth it."""

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import is_being_trained, one_at_a_time
from fashion_lightning.runs.folder import RUN_NUMBER
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import (
    OBSERVATION,
    PLACES_AND_DEVICES,
    flattened,
    has_report,
    read_config,
    read_curve,
    read_results,
)
from fashion_lightning.sweeps.jobs import Say, Work, as_typed
from fashion_lightning.sweeps.objective import shown
from fashion_lightning.sweeps.space import as_flags, holds, short_names, typed
from fashion_lightning.sweeps.storage import HEARTBEAT_SECONDS, Away, Patience
from fashion_lightning.sweeps.study import SharedStudy, SharedTrial
from fashion_lightning.sweeps.suggestion import is_worse, suggest
from fashion_lightning.sweeps.trial_job import TrialJob
from fashion_lightning.sweeps.worker import Worker

LOOK_SECONDS = 1.0
"""From one look at the study to the next."""

FINISHED = ("complete", "pruned", "failed")


class Sweep(Work[TrialJob]):
    """All trials of a study, of which this process trains some.

    Args:
        study: that all workers share.
        patience: with the study's database.
        worker: this process.
        folder: of the sweep.
        lock_folder: that workers which could disturb each other lock.
        config: every setting of a fit of the recipe, as plain values.
        labels: ``--name`` and ``--note`` as they were typed.
    """

    kind = "trials"

    def __init__(
        self,
        study: SharedStudy,
        patience: Patience,
        worker: Worker,
        folder: Path,
        lock_folder: Path,
        config: dict[str, Any],
        labels: dict[str, str],
    ) -> None:
        self.study, self.patience, self.worker, self.config, self.labels = study, patience, worker, config, labels
        self.name, self.folder, self.lock_folder = folder.name, folder, lock_folder
        self.definition = study.definition
        self.names = short_names(list(self.definition.space))
        self.jobs = [TrialJob(label=f"trial {number}", number=number) for number in range(study.size)]
        self.epochs = max(0, int(config["trainer"]["max_epochs"] or 0))
        self.mine: set[int] = set()
        self.next_look = 0.0
        self.waits_for: int | None = None
        self._note(study.trials())

    def take(self, say: Say) -> TrialJob | None:
        """The first trial that waits, if this worker gets it."""
        if time.monotonic() < self.next_look:
            return None
        self.next_look = time.monotonic() + LOOK_SECONDS
        with contextlib.suppress(Away), one_at_a_time(self.lock_folder):
            return self.patience.ask(lambda: self._take(say))
        return None

    def _take(self, say: Say) -> TrialJob | None:
        # After an outage all are silent: those that live get time to say so.
        heard_for = time.monotonic() - self.patience.there_since
        self.study.restore(self._is_lost, heard_for > 2 * HEARTBEAT_SECONDS)
        trials = self.study.trials()
        self._note(trials)
        for trial in trials:
            if trial.state != "waiting":
                continue
            if run := next((run for run in self.runs_of(trial.number) if is_being_trained(run)), None):
                if self.waits_for != trial.number:
                    progress = read_progress(run)
                    process = f"process {progress.pid}" if progress else "another process"
                    say(f"trial {trial.number}   waits for {process}, which trains it in {run}")
                self.waits_for = trial.number
                return None  # and not the next one, which is to be chosen by how this one ends
            if not self.study.claim(trial.attempt, self.worker.record):
                continue
            job = self.jobs[trial.number]
            known = trial.values if holds(self.definition.space, trial.values) else None
            job.begin(trial.attempt, known or self._suggest(trial, trials))
            self.study.settle(trial.attempt, job.values)
            job.run_dir = self.runs_of(trial.number)[0]
            self.mine.add(trial.number)
            self.next_look = 0.0
            return job
        return None

    def _is_lost(self, trial: SharedTrial) -> bool:
        """Whether the worker that has a trial is gone; or is this one, which lost the database as it took it."""
        record = trial.worker
        return self.worker.knows_gone(record) or (record == self.worker.record and trial.number not in self.mine)

    def _suggest(self, trial: SharedTrial, trials: Sequence[SharedTrial]) -> dict[str, Any]:
        others = [
            other.attempt for other in trials if other.state in ("complete", "pruned", "running") and other.values
        ]
        definition = self.definition
        return suggest(definition.sampler, definition.space, definition.direction, trial.number, others)

    def is_empty(self) -> bool:
        """Whether every trial has ended, also those of other workers, which might be lost."""
        return all(job.done for job in self.jobs)

    def _note(self, trials: Sequence[SharedTrial]) -> None:
        """What other workers have done meanwhile."""
        for trial in trials:
            job = self.jobs[trial.number]
            if trial.number not in self.mine:
                job.done = trial.state in FINISHED
                job.progress = float(job.done)

    def runs_of(self, number: int) -> list[Path]:
        """The run folders of a trial, one a seed."""
        seeds = self.definition.seeds
        return [self.folder / f"version_{number * seeds + seed}" for seed in range(seeds)]

    def next_command(self, job: TrialJob) -> list[str] | None:
        """The fit of the next seed, or the rest of it."""
        with contextlib.suppress(Away):
            self._look(job)  # before more is trained
        if job.given_up:
            return None
        for seed, run_dir in enumerate(self.runs_of(job.number)):
            begun = any(run_dir.glob("checkpoints/*.ckpt"))
            if begun or has_report(run_dir):
                self._check_run(run_dir, seed, job)
            if has_report(run_dir):
                continue
            job.run_dir = run_dir
            if begun:
                return ["fit", "--ckpt_path", str(run_dir), *as_typed(self.config, *PLACES_AND_DEVICES, *OBSERVATION)]
            labels = {"name": f"trial {job.number}", **self.labels}
            return [
                *("fit", "--config", str(self.folder / f"{self.name}.yaml")),
                *as_flags(job.values),
                f"--seed_everything={seed}",
                *(f"--{label}={text}" for label, text in labels.items()),
            ]
        return None

    def environment(self, job: TrialJob) -> dict[str, str]:
        """The number of the run folder, by which a trial is found again."""
        assert job.run_dir is not None
        return {RUN_NUMBER: job.run_dir.name.removeprefix("version_")}

    def way(self, job: TrialJob, fraction: float) -> float:
        """Of all its seeds."""
        assert job.run_dir is not None
        runs = self.runs_of(job.number)
        return (runs.index(job.run_dir) + fraction) / len(runs)

    def _check_run(self, run_dir: Path, seed: int, job: TrialJob) -> None:
        """Look whether a run folder is the trial's and not that of a fit which somebody typed."""
        try:
            settings = dict(flattened(read_config(run_dir)))
        except UserError as error:
            raise UserError(f"{run_dir}: {error}. Move it elsewhere, and {job.label} begins anew.") from error
        for key, value in {"seed_everything": seed, **job.values}.items():
            if isinstance(value, int | float) and settings.get(key) != value:
                raise UserError(f"{run_dir} is another run, not {job.label}'s ({key} {value}): move it elsewhere.")

    def follow(self, job: TrialJob) -> None:
        """Give a sign of life for a trial, and end its process where it is not worth going on."""
        with contextlib.suppress(Away):
            if time.monotonic() - job.sign_of_life > HEARTBEAT_SECONDS / 4:
                self._give_sign_of_life(job)
            self._look(job)
        if job.given_up and job.process is not None and job.process.poll() is None:
            job.process.terminate()

    def _give_sign_of_life(self, job: TrialJob) -> None:
        attempt, record = job.attempt, self.worker.record
        assert attempt is not None
        if not self.patience.ask(lambda: self.study.is_ours(attempt, record)):
            job.given_up = "lost"
        job.sign_of_life = time.monotonic()

    def _look(self, job: TrialJob) -> None:
        """Report the curve of the first seed epoch by epoch, and ask after each whether it is worth going on.

        In this order whatever the moment of the look: what is decided does not depend on it.
        """
        run_dir, attempt, definition = self.runs_of(job.number)[0], job.attempt, self.definition
        assert attempt is not None
        if job.given_up:
            return
        progress, latest = read_progress(run_dir), max(job.curve, default=0)
        done = progress.epoch if progress is not None else 0
        curve = read_curve(run_dir, definition.monitor) if done > latest else {}
        new = {epoch: value for epoch, value in curve.items() if latest < epoch <= done}
        for epoch in sorted(epoch for epoch in {*job.curve, *new} if epoch > job.asked):
            if epoch in new:
                if not self.patience.ask(partial(self.study.report, attempt, epoch, new[epoch])):
                    job.given_up = "lost"
                    return
                job.curve[epoch] = new[epoch]
            finished = [trial.attempt for trial in self.patience.ask(self.study.trials)]
            if is_worse(definition.pruner, self.epochs, definition.direction, job.curve, finished):
                job.given_up = "pruned"
                return
            job.asked = epoch

    def end(self, job: TrialJob) -> str | None:
        """Tell the study what came of a trial."""
        try:
            line = self._end(job)
        except Away:
            return None
        self.mine.discard(job.number)
        return line

    def _end(self, job: TrialJob) -> str:
        attempt, run_dir = job.attempt, job.run_dir
        assert attempt is not None
        assert run_dir is not None
        if job.given_up != "lost":
            self._give_sign_of_life(job)
        self._look(job)
        if job.given_up == "lost":
            job.failure, job.done, job.progress = "", False, 0.0
            return f"{job.label}   was given to another worker, since this one was away for long"
        progress = read_progress(run_dir)
        if job.failure and not job.given_up and progress is not None and progress.state == "diverged":
            job.given_up = "diverged"
        settings = "   ".join(f"{self.names[key]} {typed(value)}" for key, value in job.values.items())
        if job.given_up:
            job.failure = ""
            last = job.curve.get(max(job.curve, default=0))
            self.patience.ask(lambda: self.study.end(attempt, "pruned", None, self._result(job)))
            at = f" after epoch {max(job.curve)}: {shown(self.definition.monitor, last)}" if last is not None else ""
            return f"{job.label}   {job.given_up}{at}   {settings}"
        values: list[float] = []
        if not job.failure:
            try:
                values = [self._objective(run) for run in self.runs_of(job.number)]
            except UserError as error:
                job.failure = f"{job.label}: {error}"
        if job.failure:
            self.patience.ask(lambda: self.study.fail(attempt, job.failure))
            return job.failure
        value = mean(values)
        self.patience.ask(lambda: self.study.end(attempt, "complete", value, self._result(job, values)))
        return f"{job.label}   {shown(self.definition.monitor, value)}   {settings}"

    def _objective(self, run_dir: Path) -> float:
        """The best value of a finished run.

        Raises:
            UserError: it has none.
        """
        try:
            best = read_results(run_dir).fit["best"]
            return float(best[self.definition.monitor])
        except UserError as error:
            raise UserError(f"{run_dir}: {error}") from error
        except KeyError as error:
            raise UserError(f"{run_dir}: fit.json lacks {self.definition.monitor}") from error

    def _result(self, job: TrialJob, values: Sequence[float] = ()) -> dict[str, Any]:
        """What is kept of a trial beside its objective."""
        runs = [run for run in self.runs_of(job.number) if run.is_dir()]
        reports = [read_results(run).fit for run in runs] if values else []
        seconds = sum(report["fit_seconds"] for report in reports)
        how = {"why": job.given_up} if job.given_up else {"fit_seconds": seconds, "values": list(values)}
        return {"epochs": max(job.curve, default=0), "runs": [str(run) for run in runs], **how}

    def release(self, jobs: Sequence[TrialJob]) -> None:
        """Give back what was taken, if the database is there; else it is seen that this process is gone."""
        for job in jobs:
            if job.attempt is not None and job.given_up != "lost":
                with contextlib.suppress(Away, UserError):
                    self.patience.ask(partial(self.study.give_back, job.attempt))
                    self.mine.discard(job.number)
