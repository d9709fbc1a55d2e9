"""``fashion-lightning list``: the recipes and presets, and the runs that are there; without torch."""

import os
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Collection, Sequence
from pathlib import Path

from fashion_lightning.cli.recipes import head, names
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.runs.folder import LOGS
from fashion_lightning.runs.summary import runs_in, summarize

PRESETS = "presets/"

PIPE = 10_000
"""Columns where nobody looks at a terminal: each run, name and note in one line."""


def run(given: Namespace, _: Sequence[str]) -> None:
    """List recipes, presets and the runs in a folder.

    Raises:
        UserError: there is no such folder.
    """
    logs = Path(given.folder or LOGS).expanduser()
    if given.folder and not logs.is_dir():
        raise UserError(f"There is no folder {logs}; list takes one where runs are kept.")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE
    print(*_recipes(), "", *_presets(width), "", *_runs(logs, width), sep="\n")


def _recipes() -> list[str]:
    recipes = [name for name in names() if not name.startswith(PRESETS)]
    rows = [["recipe", "to fit", "test accuracy"]]
    for name in sorted(recipes, key=lambda name: ("/" in name, name)):
        about = head(name)
        rows.append([name, about.cost or "not measured", about.accuracy])
    return _table(rows)


def _presets(width: int) -> list[str]:
    presets = [name for name in names() if name.startswith(PRESETS)]
    column = max(map(len, presets)) + 2
    lines = ["preset, on top of a recipe"]
    for name in presets:
        start, rest = f"{name:{column}}", " " * column
        lines += textwrap.wrap(head(name).about, width - 1, initial_indent=start, subsequent_indent=rest)
    return lines


def _runs(logs: Path, width: int) -> list[str]:
    runs = [summarize(run) for run in runs_in(logs)]
    if not runs:
        return [f"no runs in {logs} yet: fashion-lightning fit --config quick"]
    rows = [[f"run in {logs}", "epochs", "state", "validation", "test"]]
    labels: list[str] = [""]
    for run in runs:
        accuracies = (
            "" if value is None else f"{100 * value:.2f} %" for value in (run.val_accuracy, run.test_accuracy)
        )
        rows.append([str(run.run_dir.relative_to(logs)), run.epochs, run.state, *accuracies])
        labels.append(": ".join(part for part in (run.name, run.note) if part))
    lines = []
    for line, label in zip(_table(rows, right=(3, 4)), labels):
        lines += [line, *textwrap.wrap(label, width - 1, initial_indent="    ", subsequent_indent="    ")]
    return lines


def _table(rows: list[list[str]], right: Collection[int] = ()) -> list[str]:
    """Rows of cells in columns; what a file name may hold is made printable."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            f"{cell:>{width}}" if number in right else f"{cell:{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
