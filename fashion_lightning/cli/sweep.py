"""``fashion-lightning sweep``: search a recipe's settings, each trial a run of its own.

A trial is a process of the ordinary ``fit`` command, judged by its recipe's own metric on the validation images. The
same command goes on where it was interrupted, and any number of them, on any number of machines, share one study.
"""

import logging
import warnings
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from fashion_lightning.children import Children
from fashion_lightning.cli.commands import SHORT_NAMES
from fashion_lightning.cli.fit_settings import fit_settings
from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing
from fashion_lightning.files.lock import one_at_a_time
from fashion_lightning.files.names import check_name
from fashion_lightning.runs.results import recipe_settings
from fashion_lightning.sweeps.jobs import Runner

if TYPE_CHECKING:
    from fashion_lightning.sweeps.trials import Sweep

PACKAGES = ("optuna", "plotly")
"""What this command alone needs: the extra ``sweep``."""

TRIALS = 20
"""Unless the study or the user says otherwise."""


def run(given: Namespace, fit_options: Sequence[str]) -> None:
    """Search a space.

    Raises:
        UserError: the options or the space cannot be used, the study is another one's, its database is away for long,
            or a trial failed.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(f"sweep needs packages that are not installed: pip install {' '.join(missing)}")
    from fashion_lightning.sweeps.space import as_flags, corners, read_space

    typed = {option.partition("=")[0] for option in fit_options}
    for option, reason in (
        ("--seed_everything", "each trial has the seeds 0 and on: leave --seed_everything out."),
        ("--ckpt_path", "sweep finds the runs to continue by itself: leave --ckpt_path out."),
    ):
        if option in typed:
            raise UserError(reason)
    space = read_space(Path(given.space), SHORT_NAMES)
    if typed_too := sorted({option.partition("=")[0].removeprefix("--") for option in fit_options} & space.keys()):
        raise UserError(f"{typed_too[0]} is searched in {given.space}, and typed as well: leave one of them out.")
    recipe, config = fit_settings(fit_options)
    name = check_name(given.study or f"{recipe}_sweep", "The study")
    for values in corners(space):
        try:
            fit_settings([*fit_options, *as_flags(values)])
        except UserError as error:
            raise UserError(f"{given.space}: {error}") from error
    if config["trainer"]["fast_dev_run"]:
        raise UserError("sweep needs runs that are saved: leave trainer.fast_dev_run out.")
    with Children() as children:
        _sweep(name, recipe, config, space, given, children)


def _sweep(
    name: str, recipe: str, config: dict[str, Any], space: dict[str, Any], given: Any, children: Children
) -> None:
    import optuna

    from fashion_lightning.metrics import direction
    from fashion_lightning.sweeps.storage import Patience, open_storage, storage_url
    from fashion_lightning.sweeps.study import Definition, SharedStudy, retry
    from fashion_lightning.sweeps.trials import Sweep
    from fashion_lightning.sweeps.worker import Worker, sweep_up

    optuna.logging.set_verbosity(logging.ERROR)
    # Heartbeats, the retry of lost trials, the liar that keeps parallel trials apart.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    folder = Path(config["trainer"]["default_root_dir"]) / name
    url = storage_url(given.storage, folder)
    folder.mkdir(parents=True, exist_ok=True)
    monitor = config["best_checkpoint"]["monitor"]
    definition = Definition(
        recipe={key: value for key, value in recipe_settings(config).items() if key not in space},
        space=space,
        seeds=given.seeds,
        monitor=monitor,
        direction="minimize" if direction(monitor) == "min" else "maximize",
        sampler=given.sampler,
        pruner=given.pruner,
        trials=given.trials or TRIALS,
    )
    # SQLite has no locks for single trials.
    alone_in = Path(url.database or "").parent if url.get_backend_name() == "sqlite" else folder
    patience = Patience(url)
    with one_at_a_time(alone_in):
        study = patience.insist(lambda: SharedStudy(open_storage(url, retry), name, definition, given.trials))
        worker = Worker(folder)
        with replacing(folder / f"{name}.yaml") as file:
            file.write(f"# What every trial of this sweep of {recipe} begins with.\n".encode())
            file.write(yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())
        patience.insist(study.retry_failed)
    labels = {label: text for label in ("name", "note") if (text := getattr(given, label)) is not None}
    sweep = Sweep(study, patience, worker, folder, alone_in, config, labels)
    try:
        Runner(sweep, given.processes, children, Console(soft_wrap=True)).run()
    finally:
        if not sweep.mine:
            worker.leave()
    _report(sweep)
    with one_at_a_time(alone_in):
        sweep_up(folder)
    if failures := [job.failure for job in sweep.jobs if job.failure]:
        raise UserError(f"{'; '.join(failures)}. The same command tries again.")


def _report(sweep: "Sweep") -> None:
    """Print the table, and write the files."""
    from fashion_lightning.sweeps.objective import shown
    from fashion_lightning.sweeps.page import sweep_page
    from fashion_lightning.sweeps.results import Results, best_recipe, csv_text, print_results

    folder = sweep.folder
    results = Results.of(sweep.name, sweep.definition, sweep.patience.insist(sweep.study.trials))
    print_results(results)
    files = {"trials.csv": csv_text(results).encode(), "sweep.html": sweep_page(results)}
    best = results.best
    if best is not None:
        run_dir = sweep.runs_of(best.number)[0]
        print(f"The best: trial {best.number}, {shown(sweep.definition.monitor, best.attempt.value or 0)}   {run_dir}")
        try:
            files["best.yaml"] = best_recipe(results, run_dir).encode()
        except UserError as error:
            print(f"note: best.yaml is not written, since {run_dir} is not here ({error})")
    for name, content in files.items():
        with replacing(folder / name) as file:
            file.write(content)
    print(f"Written to {folder}: {', '.join(files)}")
    if "best.yaml" in files:
        print(f"With several seeds: fashion-lightning repeat --config {folder / 'best.yaml'} --seeds 5")
