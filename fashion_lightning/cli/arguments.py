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

from fashion_lightning.cli.recipes import DEFAULT_RECIPE, find_config
from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import OLD_KEYS, Checkpoint, find_checkpoint
from fashion_lightning.runs.folder import run_dir_of
from fashion_lightning.runs.lock import lock_run


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
    parser.add_argument("-c", "--config", action="append", default=[], nargs="?", const="")
    given, others = parser.parse_known_args(typed)
    checkpoint = None
    if given.ckpt_path == "":
        raise UserError("--ckpt_path needs a run folder or a checkpoint file after it.")
    if "" in given.config:
        raise UserError("--config needs the name of a recipe or a YAML file after it.")
    files = [find_config(name) for name in given.config]
    configs = [_read_config(file) for file in files]
    if given.ckpt_path is not None:
        place = Path(given.ckpt_path).expanduser()
        if command == "fit" and (place.is_dir() or place.name == "last.ckpt") and (run_dir := run_dir_of(place)):
            lock_run(run_dir)  # before the checkpoint is read, which its training would replace
        checkpoint = find_checkpoint(given.ckpt_path, wanted="last" if command == "fit" else "best")
    recipes = [file for file, settings in zip(files, configs, strict=True) if "model" in settings]
    typed_text = " ".join([*others, *map(str, configs)])
    if checkpoint is not None:
        configs, name = [checkpoint.settings, *configs], checkpoint.name
    elif recipes:
        name = recipes[0].stem
    else:  # no config, or presets only
        configs, name = [_read_config(find_config(DEFAULT_RECIPE)), *configs], DEFAULT_RECIPE
    # As text: jsonargparse would read the files in the locale's encoding.
    arguments = [*(f"--config={yaml.safe_dump(config)}" for config in configs), *others]
    return CompletedCommandLine(command, arguments, name, checkpoint, typed_text)


def _read_config(file: Path) -> dict[str, Any]:
    """The settings of a config file, without the two flags that version 0.1 kept in a run's config.yaml."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} is not a config: it must hold settings such as `model:` and `data:`.")
    if content.get("ckpt_path") is not None:
        raise UserError(f"{file}: --ckpt_path belongs on the command line, not in a config file.")
    for section in ("model", "data", "trainer", "early_stopping", "best_checkpoint"):
        if section in content and not isinstance(content[section], dict):
            raise UserError(f"{file}: `{section}:` must hold settings, not {content[section]!r}.")
    return {key: value for key, value in content.items() if key not in OLD_KEYS}
