"""``fashion-lightning list``: the recipes and presets, and the runs that are there; without torch."""

import os
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from fashion_lightning.cli.recipes import head, names
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.runs.folder import LOGS
from fashion_lightning.runs.summary import runs_in, summarize

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
    recipes = [name for name in names() if not name.startswith("presets/")]
    heads = [(name, head(name)) for name in sorted(recipes, key=lambda name: ("/" in name, name))]
    rows = [[name, about.cost or "not measured", about.accuracy] for name, about in heads]
    return _table([["recipe", "to fit", "test accuracy"], *rows])


def _presets(width: int) -> Iterator[str]:
    presets = [name for name in names() if name.startswith("presets/")]
    column = max(map(len, presets)) + 2
    yield "preset, on top of a recipe"
    for name in presets:
        yield from textwrap.wrap(f"{name:{column}}{head(name).about}", width - 1, subsequent_indent=" " * column)


def _runs(logs: Path, width: int) -> list[str]:
    runs = [summarize(run) for run in runs_in(logs)]
    if not runs:
        return [f"no runs in {logs} yet: fashion-lightning fit --config quick"]
    rows = [[f"run in {logs}", "epochs", "state", "validation", "test"]]
    for run in runs:
        measured = (run.val_accuracy, run.test_accuracy)
        accuracies = ["" if accuracy is None else f"{100 * accuracy:.2f} %" for accuracy in measured]
        rows.append([str(run.run_dir.relative_to(logs)), run.epochs, run.state, *accuracies])
    heading, *lines = _table(rows, right=(3, 4))
    labels = [": ".join(filter(None, (run.name, run.note))) for run in runs]
    wrapped = [textwrap.wrap(label, width - 1, initial_indent="    ", subsequent_indent="    ") for label in labels]
    return [heading, *(part for line, label in zip(lines, wrapped) for part in (line, *label))]


def _table(rows: list[list[str]], right: Collection[int] = ()) -> list[str]:
    """Align cells in columns; what a file name may hold is made printable."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    aligns = [(">" if number in right else "<") + str(width) for number, width in enumerate(widths)]
    return ["  ".join(f"{cell:{align}}" for cell, align in zip(row, aligns)).rstrip() for row in cells]
