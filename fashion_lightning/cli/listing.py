"""``list``: list recipes, presets and runs. ``compare``: compare runs. Both work without torch."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from fashion_lightning.cli.recipes import head, names
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.lock import is_being_trained
from fashion_lightning.runs.folder import versions
from fashion_lightning.runs.origin import read_origin
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import FIT_KEYS, find_runs, read_report
from fashion_lightning.tables import print_table


def list_runs(given: Namespace, _: Sequence[str]) -> None:
    """List recipes, presets and the runs in a folder."""
    logs = given.runs
    recipes = [[name, *head(name)] for name in sorted(names(), key=lambda name: ("/" in name, name))]
    titles = ["recipe", "to fit", "test accuracy", "what it is"]
    found = (run for folder in sorted(logs.glob("*")) for run in versions(folder))
    runs = [[one_line(cell) for cell in (str(run.relative_to(logs)), *summary(run))] for run in found]
    heading = [one_line(f"run in {logs}"), "epochs", "state", "validation", "test", "name and note"]
    if given.format == "json":
        shown = ([dict(zip(titles, row)) for row in recipes], [dict(zip(["run", *heading[1:]], row)) for row in runs])
        print(json.dumps(dict(zip(("recipes", "runs"), shown)), indent=2))
        return
    print_table(titles, recipes, left=("recipe", "to fit", "what it is"))
    if not runs:
        print(f"no runs in {logs} yet: fashion-lightning fit --config quick")
        return
    print_table(heading, runs, left=(heading[0], "epochs", "state", "name and note"))


def summary(run: Path) -> list[str]:
    """Return epochs, state, accuracies, name and note of a run; empty where data are missing or damaged."""
    fit, progress = read_report(run / "fit.json", FIT_KEYS), read_progress(run)
    best, test = fit.get("best") or {}, read_report(run / "test_best.json", ("accuracy", "steps"))
    if test.get("steps") != best.get("steps"):  # it tested an earlier best checkpoint
        test = {}
    done = fit["epochs"] if fit else progress.epoch if progress else ""
    epochs = f"{done} of {progress.epochs}" if progress and progress.epochs else str(done)
    stopped = progress.state if progress and progress.state in ("failed", "diverged") else "interrupted"
    begun = stopped if any(run.glob("checkpoints/*.ckpt")) else "empty"
    state = "finished" if fit else "training" if is_being_trained(run) else begun
    origin = read_origin(run)
    label = ": ".join(str(origin[key]) for key in ("name", "note") if key in origin)
    return [
        epochs,
        state,
        *(
            "" if value is None else f"{100 * value:.2f} %"
            for value in (best.get("val/accuracy"), test.get("accuracy"))
        ),
        label,
    ]


def compare(given: Namespace, _: Sequence[str]) -> None:
    """Print tables that compare runs and, with ``--output``, write files; missing runs are an error at the end."""
    from fashion_lightning.report import comparison_table as tables
    from fashion_lightning.report import comparison_text as texts

    comparison = tables.compare(find_runs(given.run, given.runs))
    if not comparison.groups:
        path, problem = comparison.problems[0]
        raise UserError(
            f"None of these folders holds the results of a run ({path}: {problem}). Train one first:"
            " fashion-lightning fit"
        )
    if given.format == "table":
        texts.print_comparison(comparison)
    else:
        print(texts.as_text(comparison, given.format), end="")
    if given.output is not None:
        from fashion_lightning.report import comparison_page  # matplotlib takes a second to load

        folder, groups = Path(given.output).expanduser(), comparison.groups
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "comparison.md": texts.as_text(comparison, "markdown"),
            "runs.csv": texts.as_text(comparison, "csv"),
            "differences.csv": texts.csv_text(tables.differences(groups)),
            "curves.csv": texts.csv_text(tables.curve_records(groups)),
        }
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        curves, page = folder / "curves.png", folder / "comparison.html"
        comparison_page.draw(groups, curves)
        page.write_bytes(comparison_page.comparison_page(comparison, curves))
        print(f"Written to {folder}: {', '.join([*files, curves.name, page.name])}", file=sys.stderr)
    if missing := [str(path) for path, _ in comparison.problems if not path.exists()]:
        raise UserError(f"There is no run {', '.join(missing)}.")
