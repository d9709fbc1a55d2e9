"""``fashion-lightning list``: the recipes and presets, and the runs that are there; without torch."""

import os
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from fashion_lightning.cli.recipes import head, names
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.lock import is_being_trained
from fashion_lightning.runs.folder import LOGS
from fashion_lightning.runs.origin import read_origin
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import FIT_KEYS, read_report, runs_in

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
    runs = runs_in(logs)
    if not runs:
        return [f"no runs in {logs} yet: fashion-lightning fit --config quick"]
    headings = [f"run in {logs}", "epochs", "state", "validation", "test"]
    rows = [[str(run.relative_to(logs)), *_summary(run)] for run in runs]
    heading, *lines = _table([headings, *rows], right=(3, 4))
    origins = [read_origin(run) for run in runs]
    labels = [": ".join(origin[key] for key in ("name", "note") if key in origin) for origin in origins]
    wrapped = [textwrap.wrap(label, width - 1, initial_indent="    ", subsequent_indent="    ") for label in labels]
    return [heading, *(part for line, label in zip(lines, wrapped) for part in (line, *label))]


def _summary(run: Path) -> list[str]:
    """Epochs, state, validation and test accuracy of a run; what is missing or damaged is left out."""
    fit, progress = _report(run / "fit.json", FIT_KEYS), read_progress(run)
    best, test = fit.get("best") or {}, _report(run / "test_best.json", ("accuracy", "steps"))
    if test.get("steps") != best.get("steps"):  # of an earlier best checkpoint
        test = {}
    epochs = str(fit["epochs"] if fit else progress.epoch if progress else "")
    if progress and progress.epochs:
        epochs += f" of {progress.epochs}"
    state = "finished" if fit else "interrupted" if any(run.glob("checkpoints/*.ckpt")) else "empty"
    if state == "interrupted" and progress and progress.state in ("failed", "diverged"):
        state = progress.state
    if is_being_trained(run):
        state = "training"
    accuracies = (best.get("val/accuracy"), test.get("accuracy"))
    return [epochs, state, *("" if value is None else f"{100 * value:.2f} %" for value in accuracies)]


def _report(path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    try:
        return read_report(path, needed) or {}
    except UserError:
        return {}


def _table(rows: list[list[str]], right: Collection[int] = ()) -> list[str]:
    """Align cells in columns; what a file name may hold is made printable."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    aligns = [(">" if number in right else "<") + str(width) for number, width in enumerate(widths)]
    return ["  ".join(f"{cell:{align}}" for cell, align in zip(row, aligns)).rstrip() for row in cells]
