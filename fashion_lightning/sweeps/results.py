"""What a sweep ends with: the best recipe as a config, a table on the terminal and as CSV, and a page with plots."""

import csv
import io
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from jsonargparse import dict_to_namespace
from optuna import visualization
from optuna.trial import FrozenTrial, TrialState
from plotly.offline import get_plotlyjs
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fashion_lightning.errors import one_line
from fashion_lightning.files.durable import replacing
from fashion_lightning.report.page import render
from fashion_lightning.runs.results import NOT_OF_THE_RECIPE, read_config
from fashion_lightning.sweeps.fits import typed
from fashion_lightning.sweeps.space import Space, in_words, short, shown
from fashion_lightning.sweeps.study import latest

SHOWN = 10
"""Trials in the terminal's table; trials.csv has all."""


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
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in heading:
        table.add_column(escape(name), justify="left" if name == "end" else "right", overflow="fold")
    for row in rows[:SHOWN]:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else 1000).print(table, highlight=False)
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
        if run_dir.exists():  # not where another machine trained it, into a folder of its own
            files["best.yaml"] = f"{comment}{recipe_of(run_dir)}".encode()
    for name, content in files.items():
        with replacing(folder / name) as file:
            file.write(content)
    print(f"Written to {folder}: {', '.join(files)}")


def csv_text(trials: Mapping[int, FrozenTrial], space: Space, monitor: str) -> str:
    """Return every trial as numbers: the objective as a share or a loss, settings by their dotted names."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["trial", "state", monitor, *space, "epochs", "fit_seconds", "runs"])
    for number, trial in trials.items():
        value = trial.value if trial.state == TrialState.COMPLETE else None  # Optuna keeps one of pruned trials, too
        runs = " ".join(map(str, trial.user_attrs.get("runs", [])))
        cells = [value, *map(trial.params.get, space), trial.last_step, trial.user_attrs.get("fit_seconds"), runs]
        writer.writerow([number, end(trial), *cells])
    return content.getvalue()


def recipe_of(run_dir: Path) -> str:
    """Return the recipe of a run, without places and whatever else is not of it.

    Raises:
        UserError: in a few words, what is wrong with the folder.
    """
    config = dict_to_namespace(read_config(run_dir))
    for key in (*NOT_OF_THE_RECIPE, "trainer.fast_dev_run"):
        config.pop(key, None)
    return yaml.safe_dump({key: value for key, value in config.as_dict().items() if value != {}}, sort_keys=False)


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


LAYOUT = {
    "title": None,
    "template": "plotly_white",
    "margin": {"l": 8, "r": 8, "t": 40, "b": 8},
    "xaxis": {"automargin": True},
    "yaxis": {"automargin": True},
}

PLOTS: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "History": (
        visualization.plot_optimization_history,
        {"xaxis_title": "trial", "legend": {"orientation": "h", "y": 1.12}},
    ),
    "Importance": (
        visualization.plot_param_importances,
        {"xaxis": {"title": "importance", "range": [0, 1.2]}, "yaxis_title": None},
    ),
    "Parallel coordinates": (
        visualization.plot_parallel_coordinate,
        {"margin": {"l": 60, "r": 30, "t": 60, "b": 30}},
    ),
    "Curves": (visualization.plot_intermediate_values, {"xaxis_title": "epoch"}),
}
"""Function and layout of each plot."""


def sweep_page(
    study: optuna.Study,
    name: str,
    objective: str,
    space: Mapping[str, str],
    complete: int,
    heading: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> bytes:
    """Make the page; with its plots it is about 5 MB, most of it plotly's own code, and needs no network.

    Args:
        study: whose trials are plotted.
        name: of the sweep.
        objective: what the trials are judged by, in words.
        space: what was searched, in words.
        complete: how many trials were trained to their end.
        heading: of the table of trials.
        rows: of that table.
    """
    plots = []
    for words, (draw, layout) in PLOTS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the importances of equal trials are equal
                figure = draw(study) if words == "Curves" else draw(study, target_name=objective)
        except (RuntimeError, ValueError):  # too few trials, or all alike
            continue
        figure.update_layout(**LAYOUT).update_layout(**layout)
        text = figure.to_json().replace("<", "\\u003c").replace("Intermediate Value", objective)
        for key in space:
            text = text.replace(key, short(key))
        plots.append((words, text))
    content = {"objective": objective, "space": space, "complete": complete, "heading": heading, "rows": rows}
    return render("sweep.html", title=f"Sweep {name}", plots=plots, plotly=get_plotlyjs(), **content)
