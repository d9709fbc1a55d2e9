"""``list``: the recipes, presets and runs that are there, without torch. ``compare``: runs side by side."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fashion_lightning.cli.recipes import head, names
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.lock import is_being_trained
from fashion_lightning.report.terminal import print_table
from fashion_lightning.runs.folder import LOGS
from fashion_lightning.runs.origin import read_origin
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import FIT_KEYS, find_runs, read_report, runs_in

FILES = ("comparison.md", "runs.csv", "curves.png", "comparison.html")
"""Files of ``compare --output``: the table, the metrics of each run, the learning curves, and a page of all."""


def list_runs(given: Namespace, _: Sequence[str]) -> None:
    """List recipes, presets and the runs in a folder.

    Raises:
        UserError: there is no such folder.
    """
    logs = Path(given.folder or LOGS).expanduser()
    if given.folder and not logs.is_dir():
        raise UserError(f"There is no folder {logs}; list takes one where runs are kept.")
    recipes = [[name, *head(name)] for name in sorted(names(), key=lambda name: ("/" in name, name))]
    print_table(["recipe", "to fit", "test accuracy", "what it is"], recipes, left=("recipe", "to fit", "what it is"))
    runs = [[one_line(cell) for cell in (str(run.relative_to(logs)), *_summary(run))] for run in runs_in(logs)]
    if not runs:
        print(f"no runs in {logs} yet: fashion-lightning fit --config quick")
        return
    heading = [one_line(f"run in {logs}"), "epochs", "state", "validation", "test", "name and note"]
    print_table(heading, runs, left=(heading[0], "epochs", "state", "name and note"))


def _summary(run: Path) -> list[str]:
    """Return epochs, state, accuracies, name and note of a run; leave out what is missing or damaged."""
    fit, progress = _report(run / "fit.json", FIT_KEYS), read_progress(run)
    best, test = fit.get("best") or {}, _report(run / "test_best.json", ("accuracy", "steps"))
    if test.get("steps") != best.get("steps"):  # of an earlier best checkpoint
        test = {}
    done = fit["epochs"] if fit else progress.epoch if progress else ""
    epochs = f"{done} of {progress.epochs}" if progress and progress.epochs else str(done)
    begun = "training" if is_being_trained(run) else "interrupted" if any(run.glob("checkpoints/*.ckpt")) else "empty"
    state = "finished" if fit else begun
    if state == "interrupted" and progress and progress.state in ("failed", "diverged"):
        state = progress.state
    accuracies = (best.get("val/accuracy"), test.get("accuracy"))
    origin = read_origin(run)
    label = ": ".join(origin[key] for key in ("name", "note") if key in origin)
    return [epochs, state, *("" if value is None else f"{100 * value:.2f} %" for value in accuracies), label]


def _report(path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    try:
        return read_report(path, needed) or {}
    except UserError:
        return {}


def compare(given: Namespace, _: Sequence[str]) -> None:
    """Compare runs: a table and, with ``--output``, files.

    Raises:
        UserError: none of the folders holds results.
    """
    from fashion_lightning.report import comparison_table as tables

    comparison = tables.compare(find_runs(given.runs))
    tables.print_comparison(comparison)
    if not comparison.groups:
        raise UserError("None of these folders holds the results of a run. Train one first: fashion-lightning fit")
    if given.output is None:
        print("As Markdown, CSV, a picture of the curves and a page: add --output FOLDER")
        return
    from fashion_lightning.report import comparison_page  # matplotlib takes a second to load

    folder = Path(given.output)
    folder.mkdir(parents=True, exist_ok=True)
    table, runs, curves, page = (folder / name for name in FILES)
    table.write_text(tables.markdown(comparison), encoding="utf-8")
    runs.write_text(tables.csv_text(comparison), encoding="utf-8")
    comparison_page.draw(comparison.groups, curves)
    page.write_bytes(comparison_page.comparison_page(comparison, curves))
    print(f"Written to {folder}: {', '.join(FILES)}")
