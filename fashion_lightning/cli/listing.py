"""``list``: the recipes, presets and runs that are there, without torch. ``compare``: runs side by side."""

from argparse import Namespace
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from fashion_lightning.cli.recipes import head, names
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.lock import is_being_trained
from fashion_lightning.runs.folder import LOGS
from fashion_lightning.runs.origin import read_origin
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import FIT_KEYS, find_runs, read_report, runs_in

FILES = ("comparison.md", "comparison.csv", "runs.csv", "curves.png", "comparison.html")
"""Files of ``compare --output``: the table twice, the metrics of each run, the learning curves, and a page of all."""


def list_runs(given: Namespace, _: Sequence[str]) -> None:
    """List recipes, presets and the runs in a folder.

    Raises:
        UserError: there is no such folder.
    """
    logs = Path(given.folder or LOGS).expanduser()
    if given.folder and not logs.is_dir():
        raise UserError(f"There is no folder {logs}; list takes one where runs are kept.")
    heads = [(name, head(name)) for name in sorted(names(), key=lambda name: ("/" in name, name))]
    presets = [[name, about.about] for name, about in heads if name.startswith("presets/")]
    recipes = [
        [name, about.cost or "not measured", about.accuracy] for name, about in heads if not name.startswith("presets/")
    ]
    print(*_table([["recipe", "to fit", "test accuracy"], *recipes]), "", sep="\n")
    print(*_table([["preset", "on top of a recipe"], *presets]), "", sep="\n")
    runs = runs_in(logs)
    if not runs:
        print(f"no runs in {logs} yet: fashion-lightning fit --config quick")
        return
    headings = [f"run in {logs}", "epochs", "state", "validation", "test"]
    heading, *lines = _table([headings, *([str(run.relative_to(logs)), *_summary(run)] for run in runs)], right=(3, 4))
    print(heading)
    for run, line in zip(runs, lines):
        origin = read_origin(run)
        label = ": ".join(origin[key] for key in ("name", "note") if key in origin)
        print(line, *([f"    {one_line(label)}"] if label else []), sep="\n")


def _summary(run: Path) -> list[str]:
    """Return epochs, state, validation and test accuracy of a run; leave out what is missing or damaged."""
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
    """Align cells in columns; make printable whatever a file name holds."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    aligns = [(">" if number in right else "<") + str(width) for number, width in enumerate(widths)]
    return ["  ".join(f"{cell:{align}}" for cell, align in zip(row, aligns)).rstrip() for row in cells]


def compare(given: Namespace, _: Sequence[str]) -> None:
    """Compare runs: a table and, with ``--output``, files.

    Raises:
        UserError: none of the folders holds results.
    """
    from fashion_lightning.report import comparison_table as tables

    comparison = tables.compare(find_runs(given.runs))
    tables.print_table(comparison)
    if not comparison.groups:
        raise UserError("None of these folders holds the results of a run. Train one first: fashion-lightning fit")
    if given.output is None:
        print("As Markdown, CSV, a picture of the curves and a page: add --output FOLDER")
        return
    from fashion_lightning.report import comparison_page  # matplotlib takes a second to load

    folder = Path(given.output)
    folder.mkdir(parents=True, exist_ok=True)
    texts = (tables.markdown(comparison), tables.csv_text(comparison), tables.runs_csv(comparison))
    for name, text in zip(FILES, texts):
        (folder / name).write_text(text, encoding="utf-8")
    for note in comparison_page.draw(comparison.groups, folder / FILES[3]):
        print(f"note: {note}")
    (folder / FILES[4]).write_bytes(comparison_page.comparison_page(comparison, folder / FILES[3]))
    print(f"Written to {folder}: {', '.join(FILES)}")
