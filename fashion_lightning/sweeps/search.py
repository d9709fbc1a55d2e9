"""Search a recipe's settings: each trial is an ordinary ``fit``, in a child process.

A sweep ends with the best recipe as a config, and a table on the terminal and as CSV. optuna-dashboard plots the study,
and TensorBoard's HPARAMS tab plots its runs.
"""

import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import yaml
from jsonargparse import dict_to_namespace
from optuna.trial import TrialState

from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing
from fashion_lightning.metrics import direction
from fashion_lightning.report.comparison_table import in_short
from fashion_lightning.report.comparison_text import csv_text
from fashion_lightning.report.page import percent
from fashion_lightning.runs.origin import read_origin
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import (
    NOT_OF_THE_RECIPE,
    has_report,
    read_config,
    read_curve,
    read_results,
    recipe_settings,
)
from fashion_lightning.sweeps.fits import Fits, as_flags, fit_command
from fashion_lightning.sweeps.space import Space, shown, suggest
from fashion_lightning.sweeps.study import (
    errors_in_one_line,
    is_shared,
    latest,
    open_storage,
    open_study,
    storage_url,
)
from fashion_lightning.tables import print_table

POLL_SECONDS = 1
"""Between checks of the study, while other workers train its last trials."""


@dataclass
class Search:
    """Trains trials of a study, each in a child process; call it with a trial, as Optuna does."""

    study: optuna.Study
    space: Space
    monitor: str
    """The metric to optimize."""
    folder: Path
    config: dict[str, Any]
    """All settings of the recipe's fit, as plain values."""
    fits: Fits
    failures: list[str] = field(default_factory=list)

    def run(self, trials: int, processes: int) -> None:
        """Train until ``trials`` trials have ended, including those of other workers."""
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
        """Train a trial, or continue it, and return its objective."""
        number = next(number for number, attempt in latest(self.study).items() if attempt.number == trial.number)
        values = {key: suggest(trial, key, found) for key, found in self.space.items()}
        label, run_dir = f"trial {number}", self.folder / f"version_{number}"
        settings = "   ".join(f"{in_short(key)} {shown(value)}" for key, value in values.items())
        trial.set_user_attr("run", str(run_dir))
        try:
            self._fit(trial, label, values, run_dir)
            fit = read_results(run_dir).fit
            trial.set_user_attr("fit_seconds", fit["fit_seconds"])
            value = float(fit["best"][self.monitor])
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

    def _fit(self, trial: optuna.Trial, label: str, values: dict[str, Any], run_dir: Path) -> None:
        """Train a trial's run, or continue it; prune the trial if its run diverges."""
        self.fits.wait_for_others(label, run_dir)
        has_begun = has_report(run_dir) or any(run_dir.glob("checkpoints/*.ckpt"))
        if has_begun and read_origin(run_dir).get("name") != label:
            raise UserError(f"{run_dir} is not a run of this sweep. Move it elsewhere.")
        recipe = self.folder / f"{self.folder.name}.yaml"
        command = fit_command(run_dir, as_flags({"config": str(recipe), "name": label, **values}), self.config)
        try:
            if not has_report(run_dir):
                self.fits.run(command, run_dir, partial(self._report, trial, run_dir, may_prune=True))
        except UserError:
            progress = read_progress(run_dir)
            if progress is not None and progress.state == "diverged":
                raise optuna.TrialPruned("diverged") from None
            raise
        self._report(trial, run_dir, may_prune=False)  # a complete run is not pruned

    def _report(self, trial: optuna.Trial, run_dir: Path, may_prune: bool) -> None:
        """Report a run's validation curve to Optuna, and prune the trial if its pruner says so."""
        curve = read_curve(run_dir, self.monitor)
        for epoch, value in curve.items():
            trial.report(value, epoch)  # Optuna ignores epochs that it has
        if may_prune and curve and trial.should_prune():
            raise optuna.TrialPruned(f"pruned after epoch {epoch}: {metric(self.monitor, value)}")


def sweep(
    name: str,
    config: dict[str, Any],
    space: Space,
    trials: int,
    processes: int = 1,
    pruner: str = "median",
    storage: str | None = None,
) -> None:
    """Search a recipe's settings until ``trials`` trials have ended, and write the results.

    Args:
        name: of the study, and of the folder of its runs.
        config, space: all settings of the recipe's fit, as plain values, and the search space.
        trials, processes: the number of trials, including earlier ones, and how many run at a time.
        pruner: ``median`` or ``none``.
        storage: URL of a database that other machines can reach; by default an SQLite file in the folder.

    Raises:
        UserError: the study was begun with other settings, its database cannot be used, or a trial failed.
    """
    folder = Path(config["trainer"]["default_root_dir"]).expanduser() / name
    monitor = config["best_checkpoint"]["monitor"]
    definition = {key: value for key, value in recipe_settings(config).items() if key not in space}
    definition |= {**{f"{key} in the space": str(found) for key, found in space.items()}, "monitor": monitor}
    pruning = (
        optuna.pruners.NopPruner()
        if pruner == "none"
        else optuna.pruners.MedianPruner(n_warmup_steps=int(config["trainer"]["max_epochs"] or 0) // 4 + 1)
    )
    optuna.logging.set_verbosity(logging.ERROR)
    fits, url = Fits(processes), storage_url(storage, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with errors_in_one_line(url):
        database = open_storage(url, fits.stopping)
        study = open_study(database, name, definition, direction(monitor) == "min", pruning, is_shared(url))
        if not study.trials and any(folder.glob("version_*/checkpoints/*.ckpt")):
            raise UserError(f"{folder} holds runs of a study that is gone: move them elsewhere, or give --study NAME.")
        with replacing(folder / f"{name}.yaml") as file:
            file.write(yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())
        search = Search(study, space, monitor, folder, config, fits)
        done = sum(trial.state.is_finished() for trial in latest(study).values())
        with fits.pool(1, f"Trials of {name}", trials, min(done, trials)) as pool:
            pool.submit(search.run, trials, processes).result()
        report(study, space, monitor, folder)
    if search.failures:
        again = "." if is_shared(url) else ". The same command tries again."
        raise UserError("; ".join(search.failures).rstrip(".") + again)


SHOWN = 10
"""Number of trials in the terminal's table; trials.csv has all."""


def report(study: optuna.Study, space: Space, monitor: str, folder: Path) -> None:
    """Print the best trials, and write ``trials.csv`` and ``STUDY_best.yaml`` into the sweep's folder."""
    records: list[dict[str, Any]] = [
        {
            "trial": number,
            "state": trial.user_attrs.get("why") or trial.state.name.lower(),
            monitor: trial.value if trial.state == TrialState.COMPLETE else None,  # pruned trials have a value, too
            **{key: trial.params.get(key) for key in space},
            "epochs": trial.last_step,
            **{key: trial.user_attrs.get(key) for key in ("fit_seconds", "run")},
        }
        for number, trial in latest(study).items()
    ]
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
    ordered = sorted(records, key=lambda record: (record[monitor] is None, sign * (record[monitor] or 0)))
    cells = [["–" if cell is None else shown(cell) for cell in record.values()][:-2] for record in ordered[:SHOWN]]
    print_table([in_short(name) for name in ordered[0]][:-2], cells, left=("state",))
    files = {"trials.csv": csv_text(records)}
    best = ordered[0]
    if best[monitor] is not None:
        run_dir = folder / f"version_{best['trial']}"
        told = f"trial {best['trial']}, {metric(monitor, best[monitor])}"
        print(f"The best: {told}   {run_dir}")
        if run_dir.exists():  # another machine may have trained it in its own folder
            files[f"{folder.name}_best.yaml"] = (
                f"# The best of {len(records)} trials of the sweep {folder.name}: {told}.\n"
                f"# It was chosen by this figure, which is therefore slightly too good.\n{recipe_of(run_dir)}"
            )
    for name, content in files.items():
        with replacing(folder / name) as file:
            file.write(content.encode())
    print(f"Written to {folder}: {', '.join(files)}")


def recipe_of(run_dir: Path) -> str:
    """Return the recipe of a run as YAML, without paths and other settings that do not belong to it."""
    config = dict_to_namespace(read_config(run_dir))
    for key in (*NOT_OF_THE_RECIPE, "trainer.fast_dev_run"):
        config.pop(key, None)
    return yaml.safe_dump({key: value for key, value in config.as_dict().items() if value != {}}, sort_keys=False)


def metric(name: str, value: float) -> str:
    """Return ``validation accuracy 91.23 %`` or ``validation loss 0.2345``."""
    title = name.replace("val/", "validation ").replace("train/", "training ").replace("top5", "top-5")
    return f"{title} {percent(value)}" if name.endswith(("accuracy", "top5")) else f"{title} {value:.4f}"
