"""A typed command line, completed by the config it builds on.

The config of the recipe, or of the checkpoint's run, goes in front of what the user typed, so that
typed flags win. (LightningCLI by itself merges a checkpoint's hyperparameters *over* typed flags:
Lightning issue 21455.)
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fashion_lightning.cli.recipes import DEFAULT_RECIPE, find_config
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.bounded_yaml import read_yaml
from fashion_lightning.files.lock import lock_run
from fashion_lightning.files.names import check_name
from fashion_lightning.runs import find, folder, origin, own_modules, results
from fashion_lightning.runs.checkpoint import Checkpoint, find_checkpoint


@dataclass(frozen=True)
class CompletedCommandLine:
    """What LightningCLI parses, and what it must not see."""

    given: argparse.Namespace
    """The command, its own options, and the command line as it was typed."""
    arguments: list[str]
    """The settings."""
    name: str
    """Of the recipe: its file's name without the suffix."""
    checkpoint: Checkpoint | None
    weights: Checkpoint | None = None
    """What a new run starts from."""
    run_name: str = ""
    """What the user calls the run, with ``--name``."""
    note: str = ""
    """What the user notes of it, with ``--note``."""


def complete(given: argparse.Namespace, others: Sequence[str]) -> CompletedCommandLine:
    """Put the base config in front of the settings, and resolve ``--ckpt_path``.

    Args:
        given: the options of the command, parsed.
        others: settings.

    Raises:
        UserError: a config file or the checkpoint cannot be used.
    """
    given_weights = getattr(given, "weights", None)
    if given_weights and given.ckpt_path:
        raise UserError("--weights starts a new run, and goes without --ckpt_path.")
    files = [find_config(name) for name in given.config]
    configs = [_read_config(file) for file in files]
    checkpoint = weights = None
    recipes = [file for file, settings in zip(files, configs, strict=True) if "model" in settings]
    named = _named_classes(others, configs)
    if given.ckpt_path is not None:
        checkpoint = _resolve(given.command, given.ckpt_path, others, configs, named)
        configs, name = [checkpoint.config, *configs], checkpoint.name
    elif recipes:
        name = check_name(recipes[0].stem, f"The recipe {recipes[0]}")
    else:  # no config, or presets only
        configs, name = [_read_config(find_config(DEFAULT_RECIPE)), *configs], DEFAULT_RECIPE
    if given_weights:
        weights = _resolve("weights", given_weights, others, configs, named)
        if not recipes and not any(option.startswith("--model.network") for option in others):
            configs[0]["model"]["network"] = weights.config["model"]["network"]
    base = checkpoint or weights
    if base is not None and base.is_own:  # its config.yaml is the user's
        named |= _named_classes([], configs)
    own_modules.look_in_working_folder(named)
    configs += _optimizer_of(others, configs)
    labels = [
        "" if (text := getattr(given, label, None)) is None else origin.check_label(f"--{label}", text, longest)
        for label, longest in (("name", origin.LONGEST_NAME), ("note", origin.LONGEST_NOTE))
    ]
    # As text: jsonargparse would read the files in the locale's encoding.
    arguments = [*(f"--config={yaml.safe_dump(config)}" for config in configs), *others]
    return CompletedCommandLine(given, arguments, name, checkpoint, weights, *labels)


def _optimizer_of(typed: Sequence[str], configs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the config that typed settings of the optimizer need; say where they may be misunderstood."""
    options = {option.partition("=")[0].replace(".init_args", "") for option in typed}
    classes = _typed("--model.optimizer", typed)
    before = [settings.get("model", {}).get("optimizer") for settings in configs]
    old = next((optimizer for optimizer in reversed(before) if optimizer), None)
    if old is None and not classes and any(option.startswith("--model.optimizer.") for option in options):
        return [{"model": {"optimizer": {"class_path": "torch.optim.AdamW"}}}]  # which the model would take
    if isinstance(old, dict) and classes and "." in classes[-1] and "--model.optimizer.lr" not in options:
        lr, old_class = (old.get("init_args") or {}).get("lr"), old.get("class_path")
        if lr is not None and classes[-1] != old_class:
            kept = f"The learning rate stays {lr}, which was meant for {old_class}; --lr sets another."
            print(one_line(kept), flush=True)
    return []


def _resolve(
    command: str, given: str, typed: Sequence[str], configs: Sequence[dict[str, Any]], named: set[str]
) -> Checkpoint:
    """Read the checkpoint that ``--ckpt_path`` or ``--weights`` names, with the config to build on."""
    roots = _roots(typed, configs)
    places: list[str | Path] = [*reversed(roots), folder.LOGS]
    place = find.find_run(given, places)
    if place != Path(given).expanduser():
        print(one_line(f"{given}: its newest run, {place}"), flush=True)
    run_dir = folder.run_dir_of(place)
    goes_on = command == "fit" and (place.is_dir() or place.name == "last.ckpt")
    if goes_on and run_dir is not None and folder.lies_in(run_dir, places):
        lock_run(run_dir)  # before the checkpoint is read, which its training would replace
    checkpoint = find_checkpoint(place, "last" if command == "fit" else "best", places, named)
    run_dir = checkpoint.run_dir
    if command == "fit" and checkpoint.in_place and run_dir and roots and not folder.lies_in(run_dir, roots[-1:]):
        raise UserError(
            f"--trainer.default_root_dir cannot change to {roots[-1]} for {checkpoint.path}: a run goes on in its own"
            " folder. Leave it out, or start a new run without --ckpt_path."
        )
    if command == "fit":
        before, now = (dict(results.flattened(settings)) for settings in (checkpoint.settings, checkpoint.config))
        if edited := sorted(key for key in before.keys() & now.keys() if before[key] != now[key]):
            print(f"{run_dir}/config.yaml differs from the checkpoint, and counts: {', '.join(edited)}", flush=True)
    return checkpoint


def _roots(typed: Sequence[str], configs: Sequence[dict[str, Any]]) -> list[str]:
    """Return where the user says that runs are kept, in a config file or, which counts, as a flag."""
    in_files = [(settings.get("trainer") or {}).get("default_root_dir") for settings in configs]
    return [str(root) for root in (*in_files, *_typed("--trainer.default_root_dir", typed)) if root]


def _typed(setting: str, arguments: Sequence[str]) -> list[str]:
    """Return the values that were typed for a setting."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(setting, dest="values", action="append", default=[], nargs="?", const="")
    values: list[str] = parser.parse_known_args(list(arguments))[0].values
    return values


def _named_classes(typed: Sequence[str], configs: Sequence[dict[str, Any]]) -> set[str]:
    """Collect the import paths that the user has named as parts of the model or as callbacks."""
    parts = [[config.get("model"), (config.get("trainer") or {}).get("callbacks")] for config in configs]
    sections = ("--model.", "--trainer.callbacks")
    values = [
        value if equals else following
        for argument, following in zip(typed, [*typed[1:], ""])
        for option, equals, value in [argument.partition("=")]
        if option.startswith(sections)
    ]
    return own_modules.import_paths([*parts, *values])


def _read_config(file: Path) -> dict[str, Any]:
    """Read the settings of a config file."""
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise UserError(f"{file} is not a config: it must hold settings such as `model:` and `data:`.")
    for key, value in content.items():
        if key in ("ckpt_path", "config"):  # the parser would open a second config without any bound
            raise UserError(f"{file}: --{key} belongs on the command line, not in a config file.")
        if key in ("model", "data", "trainer", "early_stopping", "best_checkpoint") and not isinstance(value, dict):
            raise UserError(f"{file}: `{key}:` must hold settings, not {value!r}.")
    return content
