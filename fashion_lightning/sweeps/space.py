"""The search space of a sweep: settings by their dotted names, each with a range or with choices.

    model.optimizer.init_args.lr: {low: 0.0003, high: 0.03, log: true}
    data.batch_size: {choices: [128, 256, 512]}
    data.shift: {low: 0, high: 4, step: 2}

Short names such as ``lr`` and ``batch_size`` mean the same settings as on the command line.
"""

import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna import Trial
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import read_yaml
from fashion_lightning.from_python import typed
from fashion_lightning.runs.results import NOT_OF_THE_RECIPE, PLACES_AND_DEVICES

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution
Space = dict[str, Distribution]
"""Distributions by the dotted names of the settings."""

SECTIONS = ("model.", "data.", "trainer.", "early_stopping.")
"""Sections of a config that can be searched; ``best_checkpoint`` is not, since it names the metric to optimize."""

NOT_SEARCHED = (
    *(f"{name}." for name in (*NOT_OF_THE_RECIPE, *PLACES_AND_DEVICES)),
    "trainer.callbacks.",
    "trainer.fast_dev_run.",
    *(f"data.{name}." for name in ("folder", "photographs", "val_size", "fold")),  # trials share validation images
    "trainer.limit_val_batches.",
    "early_stopping.monitor.",
)


def read_space(path: Path, long_names: Mapping[str, str]) -> Space:
    """Read a search space from a YAML file; ``long_names`` maps short flags to long ones.

    Raises:
        OSError: the file cannot be read.
        UserError: a setting cannot be searched; names it and says why.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} must hold settings with ranges, such as `lr: {{low: 0.001, high: 0.1, log: true}}`.")
    space: Space = {}
    for name, fields in content.items():
        key = long_names.get(f"--{name}", f"--{name}").removeprefix("--")
        if key in space:
            raise UserError(f"{path} names {key} twice.")
        if not key.startswith(SECTIONS) or f"{key}.".startswith(NOT_SEARCHED):
            raise UserError(f"{path}: {key} cannot be searched. Type it as a flag.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Optuna would move an end that no step reaches
                space[key] = _distribution(fields)
        except (TypeError, ValueError, UserWarning) as error:
            raise UserError(f"{path}: {name} needs {{low: 1, high: 9}} or {{choices: [1, 9]}}: {error}") from error
    return space


def _distribution(fields: Any) -> Distribution:
    """Make an Optuna distribution from the fields ``low``, ``high``, ``log`` and ``step``, or from ``choices``."""
    fields = {name: _number_if_meant(value) for name, value in dict(fields).items()}
    if "choices" in fields:
        # Optuna stores plain values; a list becomes the text that one would type.
        choices = [typed(item) if isinstance(item, list) else _number_if_meant(item) for item in fields["choices"]]
        return CategoricalDistribution(**{**fields, "choices": choices})
    is_whole = all(isinstance(fields.get(name, 1), int) for name in ("low", "high", "step"))
    found = IntDistribution(**fields) if is_whole else FloatDistribution(**fields)
    if not 0 < found.high - found.low < math.inf:
        raise ValueError("the range is empty, or endless")
    return found


def _number_if_meant(value: Any) -> Any:
    """Convert numbers such as ``3e-4``, which YAML 1.1 reads as text because they have no decimal point."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value) else value


def suggest(trial: Trial, key: str, found: Distribution) -> Any:
    """Let Optuna propose a value; a retried trial keeps its values."""
    if isinstance(found, CategoricalDistribution):
        return trial.suggest_categorical(key, found.choices)
    if isinstance(found, IntDistribution):
        return trial.suggest_int(key, found.low, found.high, step=found.step, log=found.log)
    return trial.suggest_float(key, found.low, found.high, step=found.step, log=found.log)


def corners(space: Space) -> list[dict[str, Any]]:
    """Return a few combinations that cover both ends of every range and every choice, to check before any trial."""
    every = {
        key: found.choices if isinstance(found, CategoricalDistribution) else (found.low, found.high)
        for key, found in space.items()
    }
    most = max(len(values) for values in every.values())
    return [{key: values[min(number, len(values) - 1)] for key, values in every.items()} for number in range(most)]


def shown(value: Any) -> str:
    """Return a value for a table; floats have four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else typed(value)
