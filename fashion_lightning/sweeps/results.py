"""What a sweep ends with: the best recipe as a config, a table on the terminal and as CSV, and a page."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.csv_cells import harmless
from fashion_lightning.files.durable import replacing
from fashion_lightning.runs.results import NOT_OF_THE_RECIPE, read_config
from fashion_lightning.sweeps.fits import typed
from fashion_lightning.sweeps.page import sweep_page
from fashion_lightning.sweeps.space import Space, in_words, short, shown
from fashion_lightning.sweeps.study import latest

SHOWN = 10
"""Trials in the terminal's table."""


def report(study: optuna.Study, space: Space, monitor: str, folder: Path) -> None:
    """Print the best trials, and write ``trials.csv``, ``sweep.html`` and ``best.yaml`` into the sweep's folder.

    Args:
        study: Optuna's.
        space: what was searched.
        monitor: the metric that trials are judged by.
        folder: of the sweep.
    """
    trials = latest(study)
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
    ended = [number for number, trial in trials.items() if trial.state == TrialState.COMPLETE]
    ended.sort(key=lambda number: sign * (trials[number].value or 0))
    heading = ["trial", title(monitor), *map(short, space), "epochs", "end"]
    rows = []
    for number in [*ended, *(number for number in trials if number not in ended)]:
        trial = trials[number]
        value = quantity(monitor, trial.value) if number in ended else "–"
        settings = (shown(trial.params[key]) if key in trial.params else "–" for key in space)
        rows.append([str(number), value, *settings, str(trial.last_step or "–"), end(trial)])
    _print(heading, rows)
    ranges = {key: in_words(found) for key, found in space.items()}
    page = sweep_page(study, folder.name, title(monitor), ranges, len(ended), heading, rows)
    files = {"trials.csv": csv_text(trials, space, monitor).encode(), "sweep.html": page}
    if ended:
        best = trials[ended[0]]
        run_dir = folder / Path(best.user_attrs["runs"][0]).name
        reached = f"trial {ended[0]}, {metric(monitor, best.value)}"
        print(f"The best: {reached}   {run_dir}")
        comment = (
            f"# The best of {len(trials)} trials of the sweep {folder.name}, {len(ended)} of which came to their end:"
            f" {reached}.\n# Searched: {one_line(', '.join(f'{key} {typed(best.params[key])}' for key in space))}.\n"
            "# It was chosen by this figure, which is therefore a little too good.\n"
        )
        try:
            files["best.yaml"] = f"{comment}{recipe_of(run_dir)}".encode()
        except UserError as error:
            print(f"note: best.yaml is not written, since {run_dir} is not here ({error})")
    for name, content in files.items():
        with replacing(folder / name) as file:
            file.write(content)
    print(f"Written to {folder}: {', '.join(files)}")
    if "best.yaml" in files:
        print(f"With several seeds: fashion-lightning repeat --config {folder / 'best.yaml'} --seeds 5")


def _print(heading: list[str], rows: list[list[str]]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in heading:
        table.add_column(escape(name), justify="left" if name == "end" else "right", overflow="fold")
    for row in rows[:SHOWN]:
        table.add_row(*map(escape, row))
    console.print(table, highlight=False)
    if len(rows) > SHOWN:
        print(f"The best {SHOWN} are shown; {len(rows) - SHOWN} more are in trials.csv.")


def csv_text(trials: Mapping[int, FrozenTrial], space: Space, monitor: str) -> str:
    """Return every trial as numbers: the objective as a share or a loss, settings by their dotted names."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["trial", "state", monitor, *space, "epochs", "fit_seconds", "runs"])
    for number, trial in trials.items():
        value = trial.value if trial.state == TrialState.COMPLETE else None  # Optuna keeps one of pruned trials, too
        runs = " ".join(map(str, trial.user_attrs.get("runs", [])))
        cells = [value, *map(trial.params.get, space), trial.last_step, trial.user_attrs.get("fit_seconds"), runs]
        writer.writerow([number, end(trial), *(harmless(cell) if isinstance(cell, str) else cell for cell in cells)])
    return content.getvalue()


def recipe_of(run_dir: Path) -> str:
    """Return the recipe of a run, without places and whatever else is not of it.

    Raises:
        UserError: in a few words, what is wrong with the folder.
    """
    config = read_config(run_dir)
    for key in (*NOT_OF_THE_RECIPE, "trainer.fast_dev_run"):
        *parents, last = key.split(".")
        section = config
        for parent in parents:
            section = section.get(parent) or {}
        section.pop(last, None)
    return yaml.safe_dump({key: value for key, value in config.items() if value != {}}, sort_keys=False)


def end(trial: FrozenTrial) -> str:
    """Return how a trial ended: ``complete``, ``pruned``, ``diverged``, ``fail``."""
    diverged = trial.state == TrialState.PRUNED and trial.user_attrs.get("why") == "diverged"
    return "diverged" if diverged else trial.state.name.lower()


def metric(name: str, value: float | None) -> str:
    """Return ``validation accuracy 91.23 %`` or ``validation loss 0.2345``."""
    return f"{title(name)} {quantity(name, value)}"


def title(name: str) -> str:
    """Return ``validation top-5`` for ``val/top5``."""
    return name.replace("val/", "validation ").replace("train/", "training ").replace("top5", "top-5")


def quantity(name: str, value: float | None) -> str:
    """Return a share in percent, and a loss as it is."""
    return f"{value or 0:.4f}" if name.endswith("loss") else f"{100 * (value or 0):.2f} %"
