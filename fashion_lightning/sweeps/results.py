"""What a sweep ends with: the best recipe as a config, a table, and the same for the terminal."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fashion_lightning.errors import one_line
from fashion_lightning.files.csv_cells import harmless
from fashion_lightning.runs.results import NOT_OF_THE_RECIPE, read_config
from fashion_lightning.sweeps.objective import number, shown, title
from fashion_lightning.sweeps.space import short_names, typed
from fashion_lightning.sweeps.study import Definition, SharedTrial

SHOWN = 10
"""Trials in the terminal's table."""


@dataclass(frozen=True)
class Results:
    """The trials of a sweep, the best ones first, those without a result last."""

    name: str
    definition: Definition
    trials: Sequence[SharedTrial]

    @classmethod
    def of(cls, name: str, definition: Definition, trials: Sequence[SharedTrial]) -> "Results":
        """Put them in order."""
        sign = -1 if definition.direction == "maximize" else 1
        complete = sorted((t for t in trials if t.state == "complete"), key=lambda t: (sign * _value(t), t.number))
        return cls(name, definition, [*complete, *(t for t in trials if t.state != "complete")])

    @property
    def best(self) -> SharedTrial | None:
        """The best trial; of equal ones the first."""
        return self.trials[0] if self.trials and self.trials[0].state == "complete" else None


def _value(trial: SharedTrial) -> float:
    value = trial.attempt.value
    assert value is not None
    return value


def why(trial: SharedTrial) -> str:
    """``complete``, ``pruned``, ``diverged``, ``failed`` or how far it is."""
    return one_line(str(trial.result.get("why", trial.state)))


def objective(results: Results, trial: SharedTrial) -> str:
    """A trial's objective; nothing if it has not come to its end."""
    return number(results.definition.monitor, _value(trial)) if trial.state == "complete" else "–"


def heading(results: Results) -> list[str]:
    """The heading of ``rows``."""
    keys = list(results.definition.space)
    return ["trial", title(results.definition.monitor), *short_names(keys).values(), "epochs", "end"]


def rows(results: Results) -> list[list[str]]:
    """A row for each trial, as people read it."""
    return [
        [
            str(trial.number),
            objective(results, trial),
            *(typed(trial.values[key]) if key in trial.values else "–" for key in results.definition.space),
            str(trial.result.get("epochs", "–")),
            why(trial),
        ]
        for trial in results.trials
    ]


def print_results(results: Results) -> None:
    """Print the best trials; where a terminal is too narrow for a table, with its settings under each."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    names, shown_rows = heading(results), rows(results)[:SHOWN]
    for name in names:
        table.add_column(escape(name), justify="left" if name == "end" else "right", overflow="fold")
    for row in shown_rows:
        table.add_row(*map(escape, row))
    if console.measure(table, options=console.options.update(width=1000)).minimum <= console.width:
        console.print(table, highlight=False)
    else:
        for row in shown_rows:
            trial, value, *settings, epochs, end = row
            print(f"trial {trial}   {value}   {end} after {epochs} epochs")
            print(*(f"    {name} {setting}" for name, setting in zip(names[2:], settings)), sep="\n")
    if (more := len(results.trials) - SHOWN) > 0:
        print(f"The best {SHOWN} are shown; {more} more are in trials.csv.")


def csv_text(results: Results) -> str:
    """Every trial as numbers: the objective as a share or a loss, settings by their dotted names."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    keys = list(results.definition.space)
    writer.writerow(["trial", "state", results.definition.monitor, *keys, "epochs", "fit_seconds", "runs"])
    for trial in sorted(results.trials, key=lambda trial: trial.number):
        value = trial.attempt.value if trial.state == "complete" else None
        settings = (trial.values.get(key) for key in keys)
        cells = [harmless(value) if isinstance(value, str) else value for value in settings]
        result = trial.result
        runs = harmless(" ".join(map(str, result.get("runs", []))))
        writer.writerow(
            [trial.number, why(trial), value, *cells, result.get("epochs"), result.get("fit_seconds"), runs]
        )
    return content.getvalue()


def best_recipe(results: Results, run_dir: Path) -> str:
    """The best trial's settings as a config for ``fit``, with a comment that says where it comes from.

    Args:
        results: with a best trial.
        run_dir: one of its run folders.

    Raises:
        UserError: in a few words, what is wrong with the folder.
    """
    assert results.best is not None
    config = read_config(run_dir)
    for key in (*NOT_OF_THE_RECIPE, "trainer.fast_dev_run"):
        _drop(config, key.split("."))
    found = ", ".join(f"{key} {typed(value)}" for key, value in results.best.values.items())
    complete = sum(trial.state == "complete" for trial in results.trials)
    lines = [
        f"The best of {len(results.trials)} trials of the sweep {results.name}, {complete} of which came to their end:"
        f" trial {results.best.number}, {shown(results.definition.monitor, _value(results.best))}.",
        f"Searched: {found}.",
        "It was chosen by this figure, which is therefore a little too good.",
    ]
    comment = "".join(f"# {one_line(line)}\n" for line in lines)
    return comment + yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def _drop(settings: dict[str, Any], parts: Sequence[str]) -> None:
    first, *rest = parts
    inner = settings.get(first)
    if not rest:
        settings.pop(first, None)
    elif isinstance(inner, dict):
        _drop(inner, rest)
        if not inner:
            del settings[first]
