"""Read the results in a run folder, without torch."""

import contextlib
import csv
import glob
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from fashion_lightning.data.tta import TTA, suffix
from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import read_bounded, read_json, read_yaml
from fashion_lightning.runs.folder import FOLDER_OF_RECIPES, LOGS, find_run, run_dir_of, versions

OBSERVATION = (
    "trainer.logger",
    "trainer.log_every_n_steps",
    "trainer.enable_progress_bar",
    "trainer.profiler",
    "trainer.detect_anomaly",
    "pictures",
    "last_checkpoint.every_n_minutes",
    "last_checkpoint.every_n_steps",
)
"""Settings of a fit that change its output and saves, but not its weights."""

NOT_OF_THE_RECIPE = (
    "seed_everything",
    "model.tta",  # changes only the evaluation of a trained model
    "data.root",
    "trainer.default_root_dir",
    *OBSERVATION,
)
"""Settings in which two runs of one recipe may differ."""

PLACES_AND_DEVICES = (
    "data.root",
    "trainer.default_root_dir",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.precision",
)
"""Folders and devices. ``repeat`` and ``sweep`` pass them on when they continue or test a run, because they may differ
from those in the run's config.yaml."""

FIT_KEYS = ("seed", "epochs", "parameters", "fit_seconds")

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Larger event files and predictions.csv are not read; the default recipe writes about 1 MB of events."""


@dataclass(frozen=True)
class RunResults:
    """The results of one finished run."""

    run_dir: Path
    name: str
    """The recipe's name."""
    settings: dict[str, str]
    """The settings that belong to the recipe, by their dotted names."""
    fit: dict[str, Any]
    """The content of fit.json."""
    tests: dict[str, dict[str, Any]]
    """The test metrics of the best checkpoint, by test-time augmentation."""


def flattened(settings: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested settings with their dotted names."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def recipe_settings(config: dict[str, Any]) -> dict[str, str]:
    """Select the settings of a config that decide the result of a run with a given seed.

    The keys of list items with a class, such as callbacks, contain the class name instead of a position.
    """
    settings: dict[str, Any] = {}
    for key, value in flattened(config):
        if isinstance(value, list) and value and all(isinstance(part, dict) and "class_path" in part for part in value):
            settings |= flattened({f"{key}.{str(part['class_path']).rpartition('.')[2]}": part for part in value})
        else:
            settings[key] = value
    settings["data.fold"] = re.sub(r"^\d+/", "k/", str(settings.get("data.fold")))  # all folds belong to one recipe
    return {
        key: str(value)
        for key, value in settings.items()
        # A logger's arguments do not count either, such as the id that W&B or MLflow gave a run that continues.
        if not f"{key}.".startswith(tuple(f"{name}." for name in NOT_OF_THE_RECIPE))
    }


def find_runs(given: Sequence[str], logs: Path = LOGS) -> list[Path]:
    """Resolve run folders, folders of runs, globs and names in ``logs``; keep paths that do not exist unchanged."""
    found: list[Path] = []
    for text in given:
        places = (Path(text), logs / text.removeprefix(FOLDER_OF_RECIPES))
        matches = [run_dir_of(place) or place for place in places if run_dir_of(place) or versions(place)][:1]
        matches = matches or [Path(path) for path in sorted(glob.glob(text))]
        if not matches:
            with contextlib.suppress(UserError):  # not the name of a run either
                matches = [run for run in [find_run(text, logs)] if run.is_dir()]
        for path in matches or [Path(text)]:
            found += versions(path) or [path]
    return list(dict.fromkeys(found))


def read_config(run_dir: Path) -> dict[str, Any]:
    """Read the config of a run; raise a ``UserError`` that says in a few words what is wrong with the folder."""
    try:
        config = read_yaml(run_dir / "config.yaml")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError("not a run folder" if run_dir.exists() else "does not exist") from error
    except (OSError, UserError):
        config = None
    if not isinstance(config, dict) or not {"model", "seed_everything"} <= config.keys():
        raise UserError("config.yaml is damaged")
    return config


def read_results(run_dir: Path) -> RunResults:
    """Read the results of a finished run; raise a ``UserError`` that says in a few words why there are none."""
    settings = recipe_settings(read_config(run_dir))
    fit = read_report(run_dir / "fit.json", FIT_KEYS)
    if not fit:
        started = (run_dir / "checkpoints" / "last.ckpt").is_file()
        raise UserError("not finished" if started else "no results")
    best = fit.get("best") or {}
    if not {"epoch", "steps"} <= best.keys():
        raise UserError("no validation metrics")
    tests = {}
    for tta in get_args(TTA):
        metrics = read_report(run_dir / f"test_best{suffix(tta)}.json", ("accuracy", "top5", "loss", "steps"))
        if metrics and metrics["steps"] == best["steps"]:  # else it tested an earlier best checkpoint
            tests[tta] = metrics
    settings["processes"] = str(fit.get("processes", 1))  # each process had batches of the configured size
    return RunResults(run_dir, str(fit.get("recipe", run_dir.parent.name)), settings, fit, tests)


def read_predictions(run_dir: Path) -> dict[str, bool]:
    """Return from ``predictions.csv`` whether each test image was classified correctly; empty if there is no file."""
    try:
        content = io.StringIO(read_bounded(run_dir / "predictions.csv", MAX_EVENT_BYTES).decode(), newline="")
        return {row["image"]: row["correct"] == "true" for row in csv.DictReader(content)}
    except (OSError, UserError, KeyError, ValueError, csv.Error):
        return {}


def has_report(run_dir: Path) -> bool:
    """Check whether a run is finished and its ``fit.json`` can be read."""
    return bool(read_report(run_dir / "fit.json", FIT_KEYS))


def read_report(path: Path, needed: Sequence[str]) -> dict[str, Any]:
    """Read the JSON of ``fit`` or ``test``; empty if it is missing, damaged or lacks one of the ``needed`` numbers."""
    report = read_json(path)
    best = report.get("best") or {}
    values = [*map(report.get, needed), *(best.values() if isinstance(best, dict) else [None])]
    return report if all(isinstance(value, int | float) for value in values) else {}


def read_curve(run_dir: Path, tag: str) -> dict[int, float]:
    """Read a scalar that is logged once per epoch, as values by epoch, counted from 1; skip large event files."""
    from fashion_lightning.runs.event_files import event_files, read_events  # imports protocol buffers

    points: dict[str, dict[int, float]] = {tag: {}, "epoch": {}}
    for path in event_files(run_dir):
        for event in read_events(path) if path.stat().st_size <= MAX_EVENT_BYTES else ():
            for value in event.summary.value:
                if value.tag in points and math.isfinite(value.simple_value):
                    points[value.tag][event.step] = value.simple_value
    epochs = {step: int(epoch) + 1 for step, epoch in points["epoch"].items()}
    return {epochs[step]: value for step, value in sorted(points[tag].items()) if step in epochs}
