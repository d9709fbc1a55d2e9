"""What a sweep searches: settings by their dotted names, each with a range or with choices.

    model.optimizer.init_args.lr: {low: 0.0003, high: 0.03, log: true}
    data.batch_size: {choices: [128, 256, 512]}
    data.shift: {low: 0, high: 4, step: 2}

Short names stand for the same settings as on the command line: ``lr``, ``batch_size``.
"""

import difflib
import json
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import read_yaml
from fashion_lightning.runs.results import NOT_OF_THE_RECIPE, PLACES_AND_DEVICES

Space = dict[str, BaseDistribution]
"""Distributions by dotted names."""

FIELDS = ("low", "high", "log", "step", "choices")

SECTIONS = ("model", "data", "trainer", "early_stopping")
"""Of a config, those whose settings make a recipe; ``best_checkpoint`` says what a trial is judged by."""

NOT_SEARCHED = {
    *NOT_OF_THE_RECIPE,
    *PLACES_AND_DEVICES,
    "trainer.plugins",
    "trainer.callbacks",
    "trainer.fast_dev_run",
    "early_stopping.monitor",
}
"""Places, devices, seeds, and what decides nothing or other things than a number."""

DIGITS = 4
"""Of a number from a range that is wide enough, so that people can read it."""


def read_space(path: Path, long_names: Mapping[str, str]) -> Space:
    """Read the YAML file of a space.

    Args:
        path: the file.
        long_names: short flags and the flags that they stand for.

    Raises:
        UserError: naming the setting, and what it may say.
    """
    try:
        content = read_yaml(path)
    except OSError as error:
        raise UserError(f"The space {path} cannot be read ({error.strerror}).") from error
    if not isinstance(content, dict) or not content:
        raise UserError(
            f"{path} is not a space: it must hold settings with ranges, as `lr: {{low: 0.001, high: 0.1, log: true}}`."
        )
    space: Space = {}
    for name, fields in content.items():
        key = long_names.get(f"--{name}", f"--{name}").removeprefix("--")
        _check_key(path, key, long_names)
        if key in space:
            raise UserError(f"{path} names {key} twice.")
        space[key] = _distribution(f"{path}: {name}", fields)
    return space


def _check_key(path: Path, key: str, long_names: Mapping[str, str]) -> None:
    section = key.partition(".")[0]
    if key == "seed_everything":
        raise UserError(f"{path}: a seed is not searched for; --seeds says with how many each trial is trained.")
    if section not in SECTIONS or "." not in key:
        close = difflib.get_close_matches(f"--{key}", [*long_names, *long_names.values()], n=1)
        hint = f"did you mean {close[0].removeprefix('--')}?" if close else f"they begin with {', '.join(SECTIONS)}"
        raise UserError(f"{path}: {key} is no setting that can be searched ({hint})")
    if any(key == name or key.startswith(f"{name}.") for name in NOT_SEARCHED):
        raise UserError(f"{path}: {key} is no part of a recipe, and cannot be searched: type it as a flag.")


def _distribution(where: str, fields: Any) -> BaseDistribution:
    if not isinstance(fields, dict):
        raise UserError(f"{where} needs a range or choices, as {{low: 1, high: 10}} or {{choices: [1, 10]}}.")
    for name in fields:
        if name not in FIELDS:
            close = difflib.get_close_matches(str(name), FIELDS, n=1)
            hint = f" (did you mean {close[0]}?)" if close else f"; there are: {', '.join(FIELDS)}"
            raise UserError(f"{where} does not take {str(name)!r}{hint}")
    if "choices" in fields:
        if len(fields) > 1:
            raise UserError(f"{where} has choices; low, high, log and step belong to a range.")
        return _choices(where, fields["choices"])
    low, high = (_number(where, name, fields) for name in ("low", "high"))
    log, step = fields.get("log", False), _number(where, "step", fields) if "step" in fields else None
    if not isinstance(log, bool):
        raise UserError(f"{where}: log must be true or false, not {log!r}.")
    if low >= high:
        raise UserError(f"{where} is an empty range: low is {low}, high is {high}.")
    if log and low <= 0:
        raise UserError(f"{where}: a logarithmic range must begin above 0, not at {low}.")
    if log and step is not None:
        raise UserError(f"{where}: a logarithmic range has no step.")
    if step is not None and not 0 < step <= high - low:
        raise UserError(f"{where}: step must be above 0 and within the range, not {step}.")
    whole = all(isinstance(number, int) for number in (low, high, step) if number is not None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Optuna would move the end of a range that the steps do not reach
            if whole:
                return IntDistribution(int(low), int(high), log=log, step=1 if step is None else int(step))
            return FloatDistribution(low, high, log=log, step=step)
    except (UserWarning, ValueError) as error:
        raise UserError(f"{where}: steps of {step} from {low} do not reach {high}.") from error


def _number(where: str, name: str, fields: Mapping[str, Any]) -> int | float:
    value = _number_if_meant(fields.get(name))
    if value is None:
        raise UserError(f"{where} lacks {name}: a range has low and high, as {{low: 1, high: 10}}.")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{where}: {name} must be a finite number, not {value!r}.")
    return value


def _number_if_meant(value: Any) -> Any:
    """What YAML 1.1 takes for text, since it lacks a point: ``3e-4``."""
    is_number = isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value)
    return float(value) if is_number else value


def _choices(where: str, given: Any) -> CategoricalDistribution:
    if not isinstance(given, list) or len(given) < 2:
        raise UserError(f"{where}: choices must be a list of two or more, as [32, 64].")
    # Optuna keeps plain values; a list goes as the text that would be typed.
    choices = [json.dumps(choice) if isinstance(choice, list) else _number_if_meant(choice) for choice in given]
    if len({typed(choice) for choice in choices}) < len(choices):
        raise UserError(f"{where}: two of the choices are the same.")
    if not all(choice is None or isinstance(choice, bool | int | float | str) for choice in choices):
        raise UserError(f"{where}: choices must be numbers, words or lists of them.")
    return CategoricalDistribution(choices)


def typed(value: Any) -> str:
    """A value as it is typed after a flag."""
    return value if isinstance(value, str) else json.dumps(value)


def as_flags(values: Mapping[str, Any]) -> list[str]:
    """Settings as flags of ``fit``."""
    return [f"--{key}={typed(value)}" for key, value in values.items()]


def corners(space: Space) -> list[dict[str, Any]]:
    """Settings that together hold both ends of every range and every choice: what ``fit`` refuses shows in them."""
    every = [
        (key, list(found.choices) if isinstance(found, CategoricalDistribution) else [found.low, found.high])  # type: ignore[attr-defined]
        for key, found in space.items()
    ]
    most = max(len(values) for _, values in every)
    return [{key: values[min(number, len(values) - 1)] for key, values in every} for number in range(most)]


def holds(space: Space, values: Any) -> bool:
    """Whether these are settings out of a space: a database, from which they come, decides no others."""
    return (
        isinstance(values, dict)
        and values.keys() == space.keys()
        and all(_holds(distribution, values[key]) for key, distribution in space.items())
    )


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return any(type(value) is type(choice) and value == choice for choice in distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    kinds = (int,) if isinstance(distribution, IntDistribution) else (int, float)
    return type(value) in kinds and distribution.low <= value <= distribution.high


def readable(value: Any, distribution: BaseDistribution) -> Any:
    """A number from a continuous range with few digits, where that leaves enough different ones."""
    if not isinstance(distribution, FloatDistribution) or distribution.step is not None:
        return value
    low, high = distribution.low, distribution.high
    if high - low < 0.1 * max(abs(low), abs(high)):
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def in_words(distribution: BaseDistribution) -> str:
    """``0.001 to 0.1, log`` or ``32, 64 or 128``."""
    if isinstance(distribution, CategoricalDistribution):
        *others, last = (typed(choice) for choice in distribution.choices)
        return f"{', '.join(others)} or {last}"
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    step = distribution.step if distribution.step not in (None, 1) else None
    return (
        f"{distribution.low} to {distribution.high}{', log' if distribution.log else ''}"
        f"{f' in steps of {step}' if step is not None else ''}"
    )


def short_names(keys: list[str]) -> dict[str, str]:
    """Dotted names by what tells them apart: ``lr`` of ``model.optimizer.init_args.lr``."""
    names = {}
    for key in keys:
        parts = [part for part in key.split(".") if part != "init_args"]
        for count in range(1, len(parts) + 1):
            names[key] = ".".join(parts[-count:])
            ends = [".".join([part for part in other.split(".") if part != "init_args"][-count:]) for other in keys]
            if ends.count(names[key]) == 1:
                break
    return names
