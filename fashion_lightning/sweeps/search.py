"""Search a recipe's settings: each trial is a run of the ordinary ``fit``, in a process of its own."""

import logging
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState

from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing
from fashion_lightning.metrics import direction
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import has_report, read_curve, read_results, recipe_settings
from fashion_lightning.sweeps.fits import Fits, as_flags, flags_to_continue
from fashion_lightning.sweeps.results import metric, report
from fashion_lightning.sweeps.space import Space, in_words, short, shown, suggest
from fashion_lightning.sweeps.study import (
    errors_in_one_line,
    is_shared,
    latest,
    open_storage,
    open_study,
    storage_url,
)

POLL_SECONDS = 1
"""Between two looks at a study of which other workers train the last trials."""


@dataclass
class Search:
    """The trials of a study, as far as this process trains them."""

    study: optuna.Study
    space: Space
    seeds: int
    """Runs of each trial."""
    monitor: str
    """The metric that a trial is judged by."""
    folder: Path
    config: dict[str, Any]
    """Every setting of the recipe's fit, as plain values."""
    labels: dict[str, str]
    """Flags of ``fit`` that name its runs."""
    fits: Fits
    failures: list[str] = field(default_factory=list)

    def run(self, trials: int, processes: int) -> None:
        """Train until so many trials have ended, those of other workers among them."""
        enough = optuna.study.MaxTrialsCallback(trials, (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING))
        while True:
            optuna.storages.fail_stale_trials(self.study)
            states = [trial.state for trial in latest(self.study).values()]
            missing = trials - sum(state.is_finished() for state in states)
            if missing <= 0:
                return
            if missing > states.count(TrialState.RUNNING):
                missing -= states.count(TrialState.RUNNING)
                self.study.optimize(self, missing, n_jobs=processes, catch=(UserError,), callbacks=[enough])
            elif self.fits.stopping.wait(POLL_SECONDS):
                raise SystemExit

    def __call__(self, trial: optuna.Trial) -> float:
        """Train a trial, or what is left of it, and return its objective."""
        number = next(number for number, attempt in latest(self.study).items() if attempt.number == trial.number)
        values = {key: suggest(trial, key, found) for key, found in self.space.items()}
        label, settings = f"trial {number}", "   ".join(f"{short(key)} {shown(value)}" for key, value in values.items())
        runs = [self.folder / f"version_{number * self.seeds + seed}" for seed in range(self.seeds)]
        trial.set_user_attr("runs", [str(run) for run in runs])
        try:
            for seed, run_dir in enumerate(runs):
                self._fit(trial, label, values, seed, run_dir)
            reports = [read_results(run_dir).fit for run_dir in runs]
            trial.set_user_attr("fit_seconds", sum(report["fit_seconds"] for report in reports))
            value: float = mean(report["best"][self.monitor] for report in reports)
            self.fits.end(label, f"{metric(self.monitor, value)}   {settings}")
            return value
        except optuna.TrialPruned as why:
            trial.set_user_attr("why", str(why))
            self.fits.end(label, f"{why}   {settings}")
            raise
        except UserError as error:
            self.failures.append(f"{label}: {error}")
            self.fits.end(label, str(error))
            raise

    def _fit(self, trial: optuna.Trial, label: str, values: dict[str, Any], seed: int, run_dir: Path) -> None:
        """Train one run of a trial, or what is left of it.

        Raises:
            UserError: the fit failed.
            optuna.TrialPruned: it diverged, or is not worth going on.
        """
        self.fits.wait_for_others(label, run_dir)
        command = ["fit", "--ckpt_path", str(run_dir), *flags_to_continue(self.config)]
        if not any(run_dir.glob("checkpoints/*.ckpt")):
            recipe = ["--config", str(self.folder / f"{self.folder.name}.yaml"), f"--seed_everything={seed}"]
            command = ["fit", *recipe, *as_flags({"name": label, **self.labels, **values})]
        each_epoch = partial(self._report, trial, seed, run_dir, may_prune=True)
        try:
            if not has_report(run_dir):
                self.fits.run(label, command, run_dir, each_epoch, (seed, self.seeds))
        except UserError:
            progress = read_progress(run_dir)
            if progress is not None and progress.state == "diverged":
                raise optuna.TrialPruned("diverged") from None
            raise
        self._report(trial, seed, run_dir, may_prune=self.seeds > 1)  # one that is at its end is not given up

    def _report(self, trial: optuna.Trial, seed: int, run_dir: Path, may_prune: bool) -> None:
        """Report the curve of the first seed, and give the trial up if its pruner says so."""
        curve = read_curve(run_dir, self.monitor) if seed == 0 else {}
        for epoch, value in curve.items():
            trial.report(value, epoch)  # Optuna ignores epochs that it knows
        if may_prune and curve and trial.should_prune():
            epoch = max(curve)
            raise optuna.TrialPruned(f"pruned after epoch {epoch}: {metric(self.monitor, curve[epoch])}")


def sweep(
    name: str,
    config: dict[str, Any],
    space: Space,
    trials: int,
    processes: int = 1,
    seeds: int = 1,
    sampler: str = "tpe",
    pruner: str = "median",
    storage: str | None = None,
    labels: dict[str, str] | None = None,
) -> None:
    """Search a recipe's settings until so many trials have ended, and write what came of it.

    Args:
        name: of the study, and of its folder of runs.
        config: every setting of the recipe's fit, as plain values.
        space: what is searched.
        trials: how many in all, those that have ended among them.
        processes: how many at a time.
        seeds: runs of each trial, which is judged by their mean.
        sampler: ``tpe`` or ``random``.
        pruner: ``median`` or ``none``.
        storage: address of a database that other machines reach; by default a file in the folder.
        labels: flags of ``fit`` that name the runs, without their dashes.

    Raises:
        UserError: the study is another one's, its database cannot be used, or a trial failed.
    """
    folder, monitor = Path(config["trainer"]["default_root_dir"]) / name, config["best_checkpoint"]["monitor"]
    definition = {key: value for key, value in recipe_settings(config).items() if key not in space}
    definition |= {f"{key} in the space": in_words(found) for key, found in space.items()}
    definition |= {"seeds": str(seeds), "monitor": monitor}
    warmup = int(config["trainer"]["max_epochs"] or 0) // 4 + 1
    pruning = optuna.pruners.NopPruner() if pruner == "none" else optuna.pruners.MedianPruner(n_warmup_steps=warmup)
    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="The reported value is ignored")
    fits, url = Fits(processes), storage_url(storage, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with errors_in_one_line(url):
        database = open_storage(url, fits.stopping)
        study = open_study(database, name, definition, direction(monitor) == "min", sampler, pruning, is_shared(url))
        if not study.trials and any(folder.glob("version_*/checkpoints/*.ckpt")):
            raise UserError(f"{folder} holds runs of a study that is gone: move them elsewhere, or give --study NAME.")
        with replacing(folder / f"{name}.yaml") as file:
            file.write(yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())
        search = Search(study, space, seeds, monitor, folder, config, labels or {}, fits)
        done = sum(trial.state.is_finished() for trial in latest(study).values())
        with fits.pool(1, f"{name}: {trials} trials", trials, min(done, trials)) as pool:
            pool.submit(search.run, trials, processes).result()
        report(study, space, monitor, folder)
    if search.failures:
        raise UserError(f"{'; '.join(search.failures).rstrip('.')}. The same command tries again.")
