"""A typed command line, completed by the config it builds on.

The config of the recipe, or of the checkpoint's run, goes in front of what the user typed, so that
typed flags win. (LightningCLI by itself merges a checkpoint's hyperparameters *over* typed flags:
Lightning issue 21455.)
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import OLD_KEYS, Checkpoint, find_checkpoint
from fashion_lightning.runs.folder import run_dir_of
from fashion_lightning.runs.lock import lock_run

RECIPES = next(
    (path for path in (Path(__file__).parents[2] / "configs", Path(__file__).parents[1] / "configs") if path.is_dir()),
    Path("configs"),
)
"""The recipes of the checkout, or the copy inside an installed package."""

DEFAULT_RECIPE = RECIPES / "cnn.yaml"


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that takes no abbreviations and says in one line what is wrong."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        raise UserError(message)


@dataclass(frozen=True)
class CompletedCommandLine:
    """What LightningCLI parses, and what it must not see."""

    command: str
    """``fit``, ``validate``, ``test`` or ``predict``."""
    arguments: list[str]
    """What follows it, without ``--ckpt_path``."""
    name: str
    """Of the recipe: its file's name without the suffix."""
    checkpoint: Checkpoint | None
    typed: str
    """What the user typed, and the config files that were named, as one text."""


def complete(arguments: Sequence[str]) -> CompletedCommandLine:
    """Put the base config in front, and resolve ``--ckpt_path``.

    Raises:
        UserError: a config file or the checkpoint cannot be used.
    """
    command, *typed = arguments
    parser = OneLineParser(add_help=False)
    parser.add_argument("--ckpt_path", nargs="?", const="")
    given, others = parser.parse_known_args(typed)
    checkpoint = None
    if given.ckpt_path == "":
        raise UserError("--ckpt_path needs a run folder or a checkpoint file after it.")
    configs = {file: _read_config(file) for file in _config_files(others)}
    others = [_without_old_keys(argument, configs) for argument in others]
    if given.ckpt_path is not None:
        place = Path(given.ckpt_path).expanduser()
        if command == "fit" and (place.is_dir() or place.name == "last.ckpt") and (run_dir := run_dir_of(place)):
            lock_run(run_dir)  # before the checkpoint is read, which its training would replace
        checkpoint = find_checkpoint(given.ckpt_path, wanted="last" if command == "fit" else "best")
    recipes = [file for file, settings in configs.items() if "model" in settings]
    if checkpoint is not None:
        base, name = [yaml.safe_dump(checkpoint.settings)], checkpoint.name
    elif recipes:
        base, name = [], Path(recipes[0]).stem
    else:  # no config, or presets only
        base, name = [str(DEFAULT_RECIPE)], DEFAULT_RECIPE.stem
    typed_text = " ".join([*others, *map(str, configs.values())])
    arguments = [*(f"--config={config}" for config in base), *others]
    return CompletedCommandLine(command, arguments, name, checkpoint, typed_text)


def _config_files(typed: Sequence[str]) -> list[str]:
    parser = OneLineParser(add_help=False)
    parser.add_argument("-c", "--config", action="append", default=[], nargs="?", const="")
    files: list[str] = parser.parse_known_args(list(typed))[0].config
    if "" in files:
        raise UserError("--config needs a YAML file after it.")
    return files


def _without_old_keys(argument: str, configs: dict[str, dict[str, Any]]) -> str:
    """A config file by its content, if it is the config.yaml of a run of version 0.1, which kept two flags there."""
    option, equals, file = argument.rpartition("=") if argument.startswith("--config=") else ("", "", argument)
    if not OLD_KEYS & configs.get(file, {}).keys():
        return argument
    kept = {key: value for key, value in configs[file].items() if key not in OLD_KEYS}
    return f"{option}{equals}{yaml.safe_dump(kept)}"


def _read_config(file: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(file).read_text())
    except (FileNotFoundError, IsADirectoryError) as error:
        recipes = (path.relative_to(RECIPES).with_suffix("") for path in RECIPES.rglob("*.yaml"))
        known = ", ".join(sorted(str(path) for path in recipes if path.parts[0] != "presets"))
        raise UserError(f"There is no config file {file}; the recipes in {RECIPES} are: {known}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} is not a config: it must hold settings such as `model:` and `data:`.")
    if content.get("ckpt_path") is not None:
        raise UserError(f"{file}: --ckpt_path belongs on the command line, not in a config file.")
    for section in ("model", "data", "trainer", "early_stopping", "best_checkpoint"):
        if section in content and not isinstance(content[section], dict):
            raise UserError(f"{file}: `{section}:` must hold settings, not {content[section]!r}.")
    return content
