"""What a run folder holds, read back without training anything and without torch."""

import contextlib
import glob
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import read_bounded, read_yaml
from fashion_lightning.files.names import MAX_BYTES
from fashion_lightning.runs.find import find_run
from fashion_lightning.runs.folder import LOGS
from fashion_lightning.tta import TTA, suffix

OBSERVATION = (
    "trainer.logger",
    "trainer.log_every_n_steps",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.profiler",
    "trainer.detect_anomaly",
    "pictures",
    "last_checkpoint.every_n_minutes",
    "last_checkpoint.every_n_steps",
)
"""Settings of a fit that change what is shown or saved, but no weight."""

NOT_OF_THE_RECIPE = (
    "seed_everything",
    "model.tta",  # only changes how a trained model is evaluated
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
"""Settings that must be typed again to continue or test a run: a checkpoint decides no place and no device."""

FIT_KEYS = ("seed", "epochs", "parameters", "fit_seconds")

SHARES = ("accuracy", "top5")
COUNTS = ("seed", "epochs", "epoch", "parameters", "steps")
"""What the numbers in a report can be, by the ends of their names and by their names."""

MAX_REPORT_BYTES = 1024 * 1024

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Of an event file whose curves are read; one of the default recipe has about 1 MB."""


@dataclass(frozen=True)
class RunResults:
    """The results of one finished run."""

    run_dir: Path
    name: str
    """Of the recipe."""
    settings: dict[str, str]
    """What makes the recipe: dotted names and values."""
    fit: dict[str, Any]
    """The content of fit.json."""
    tests: dict[str, dict[str, Any]]
    """What ``test`` measured of the best checkpoint, by its test-time augmentation."""

    @property
    def seed(self) -> int:
        return int(self.fit["seed"])


def flattened(settings: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings by their dotted names."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def recipe_settings(config: dict[str, Any]) -> dict[str, str]:
    """The settings of a config that decide what a run with a given seed ends with.

    The parts of a list, such as callbacks, go by the names of their classes.
    """
    settings: dict[str, Any] = {}
    for key, value in flattened(config):
        if isinstance(value, list) and value and all(isinstance(part, dict) and "class_path" in part for part in value):
            parts = {f"{key}.{str(part['class_path']).rpartition('.')[2]}": part for part in value}
            settings.update(flattened(parts))
        else:
            settings[key] = value
    return {key: str(value) for key, value in settings.items() if key not in NOT_OF_THE_RECIPE}


def find_runs(given: Sequence[str]) -> list[Path]:
    """Resolve run folders, folders of runs, globs and recipe names; what is not there is kept as it is."""
    found: list[Path] = []
    for text in given:
        places = [Path(text), LOGS / text] if text else []
        matches = [place for place in places if place.exists()][:1] or [Path(path) for path in sorted(glob.glob(text))]
        if not matches:
            with contextlib.suppress(UserError):  # the name of no run either
                matches = [find_run(text)]
        for path in matches or [Path(text)]:
            versions = [folder for folder in path.glob("version_*") if folder.name[8:].isdigit()]
            found += sorted(versions, key=lambda folder: int(folder.name[8:])) or [path]
    return list(dict.fromkeys(found))


def read_config(run_dir: Path) -> dict[str, Any]:
    """The config of a run.

    Raises:
        UserError: in a few words, what is wrong with the folder.
    """
    try:
        config = read_yaml(run_dir / "config.yaml")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError("not a run folder" if run_dir.exists() else "does not exist") from error
    except UserError as error:
        raise UserError("config.yaml is damaged") from error
    except OSError as error:
        raise UserError(f"config.yaml cannot be read ({error.strerror})") from error
    if not isinstance(config, dict) or "model" not in config or "seed_everything" not in config:
        raise UserError("config.yaml is not of this project")
    return config


def read_results(run_dir: Path) -> RunResults:
    """The results of a run folder.

    Raises:
        UserError: in a few words, why there are none.
    """
    settings = recipe_settings(read_config(run_dir))
    fit = read_report(run_dir / "fit.json", FIT_KEYS)
    if fit is None:
        started = (run_dir / "checkpoints" / "last.ckpt").is_file()
        raise UserError("not finished" if started else "no results")
    best = fit.get("best")
    if not isinstance(best, dict) or not best:
        raise UserError("no validation metrics")
    _check_numbers(best, ("epoch", "steps", "val/accuracy", "val/loss"), "fit.json")
    tests = {}
    for tta in get_args(TTA):
        metrics = read_report(run_dir / f"test_best{suffix(tta)}.json", ("accuracy", "top5", "loss", "steps"))
        if metrics is not None and metrics["steps"] == best["steps"]:  # else of an earlier best checkpoint
            tests[tta] = metrics
    settings["processes"] = str(fit.get("processes", 1))  # each has had batches of the recipe's size
    recipe = str(fit.get("recipe"))
    name = recipe if recipe.isprintable() and len(recipe) <= MAX_BYTES and "recipe" in fit else run_dir.parent.name
    return RunResults(run_dir, name, settings, fit, tests)


def has_report(run_dir: Path) -> bool:
    """Whether a run is finished and its report can be read."""
    try:
        return read_report(run_dir / "fit.json", FIT_KEYS) is not None
    except UserError:
        return False


def read_report(path: Path, needed: Sequence[str]) -> dict[str, Any] | None:
    """What ``fit`` or ``test`` has written; ``None`` if it has not.

    Args:
        path: of the JSON file.
        needed: names of numbers that it must hold.

    Raises:
        UserError: in a few words, what is wrong with the file.
    """
    try:
        metrics = json.loads(read_bounded(path, MAX_REPORT_BYTES))
    except FileNotFoundError:
        return None
    except (UserError, ValueError, RecursionError) as error:  # also a number of 5,000 digits
        raise UserError(f"{path.name} is damaged") from error
    except OSError as error:
        raise UserError(f"{path.name} cannot be read ({error.strerror})") from error
    if not isinstance(metrics, dict):
        raise UserError(f"{path.name} lacks metrics")
    _check_numbers(metrics, needed, path.name)
    return metrics


def _check_numbers(metrics: dict[str, Any], needed: Sequence[str], file: str) -> None:
    """Look whether each is a number, and one that can be meant."""
    for name in needed:
        value: Any = metrics.get(name)
        if type(value) not in (int, float) or not abs(value) <= 2**53:
            raise UserError(f"{file} lacks metrics")
        is_share, is_count = name.endswith(SHARES), name in COUNTS
        if (is_share and not 0 <= value <= 1) or (is_count and not (type(value) is int and value >= 0)):
            raise UserError(f"{file} holds {name} {value}, which cannot be")


def read_curve(run_dir: Path, tag: str) -> dict[int, float]:
    """A scalar that is logged once an epoch: values by epoch, counted from 1. Larger files are left out."""
    from fashion_lightning.runs.event_files import event_files, read_events  # brings protocol buffers

    points: dict[str, dict[int, float]] = {tag: {}, "epoch": {}}
    for path in event_files(run_dir):
        for event in read_events(path) if path.stat().st_size <= MAX_EVENT_BYTES else ():
            for value in event.summary.value:
                if value.tag in points and math.isfinite(value.simple_value):
                    points[value.tag][event.step] = value.simple_value
    epochs = {step: int(epoch) + 1 for step, epoch in points["epoch"].items()}
    return {epochs[step]: value for step, value in sorted(points[tag].items()) if step in epochs}
