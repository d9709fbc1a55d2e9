"""Complete a typed command line with the config that it starts from.

The config of the recipe, or of the checkpoint's run, comes before what the user typed, so that typed flags win.
(LightningCLI itself merges a checkpoint's hyperparameters *over* typed flags: Lightning issue 21455.)
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from fashion_lightning.cli.listing import summary
from fashion_lightning.cli.recipes import DEFAULT_RECIPE, EXPERIMENTS, find_config
from fashion_lightning.data.classes import FASHION_MNIST
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.bounded_yaml import read_yaml
from fashion_lightning.files.lock import lock_run
from fashion_lightning.files.names import check_name
from fashion_lightning.runs import folder, own_modules, processes
from fashion_lightning.runs.checkpoint import Checkpoint, find_checkpoint

DEFAULT_OPTIMIZER = {"model": {"optimizer": {"class_path": "torch.optim.AdamW"}}}
"""The classifier's default optimizer, named here so that its learning rate can be typed."""

SECTIONS = ("model", "data", "trainer", "early_stopping", "best_checkpoint")
"""Keys of a config that hold settings."""


def complete(
    given: argparse.Namespace, settings: Sequence[str]
) -> tuple[list[str], str, Checkpoint | None, Checkpoint | None]:
    """Put the base config in front of the typed settings, and resolve ``--ckpt_path``.

    Args:
        given: the parsed options of the command.
        settings: as ``--setting=value``.

    Returns:
        The settings for LightningCLI, including configs; the name of the folder above the run folder, usually the
        recipe's name; the checkpoint to continue or to measure; and the checkpoint whose weights a new run starts
        from.

    Raises:
        UserError: a config file or the checkpoint cannot be used.
    """
    given_weights = getattr(given, "weights", None)
    if given_weights and given.ckpt_path:
        raise UserError("--weights starts a new run: leave --ckpt_path out.")
    typed = {option: value for option, _, value in (setting.partition("=") for setting in settings)}
    files = [find_config(name) for name in given.config]
    configs = [_read_config(file) for file in files]
    checkpoint = weights = None
    recipes = [file for file, config in zip(files, configs, strict=True) if "model" in config]
    # A preset's folder counts like the flag; a recipe's name covers its folder.
    own_folder = typed.get("--data.folder") or next(
        (
            None if "model" in each else each["data"]["folder"]
            for each in reversed(configs)
            if "folder" in each.get("data", {})
        ),
        None,
    )
    has_folder = own_folder not in (None, "null")
    named = _named_classes(settings, configs)
    experiments = [file.stem for file in files if file.resolve() in EXPERIMENTS]
    if given.ckpt_path is not None:
        if experiments and given.command == "fit":
            raise UserError(f"presets/{experiments[0]} would spoil the run: leave --ckpt_path out.")
        checkpoint = _resolve(given.command, given.ckpt_path, typed, configs, named)
        configs, name = [checkpoint.config, *configs], checkpoint.name
    elif recipes:
        configs, name = [DEFAULT_OPTIMIZER, *configs], check_name(recipes[0].stem, f"The recipe {recipes[0]}")
    else:  # no config, or presets only
        name = "own_pictures" if has_folder else DEFAULT_RECIPE
        configs = [_read_config(find_config(name)), *configs]
    if checkpoint is None:
        network = typed.get("--model.network") or typed.get("--model.network.class_path", "")
        name = _name_of_folder(name, network, configs)
        name = "_".join([name, *experiments])
    if given_weights:
        weights = _resolve("weights", given_weights, typed, configs, named)
        if not recipes and not any(option.startswith("--model.network") for option in typed):
            configs[0]["model"]["network"] = weights.config["model"]["network"]
        if has_folder:  # prepare pictures as the weights' network takes them
            taken = weights.config["model"].get("images") or asdict(FASHION_MNIST)
            configs = [{"data": {"size": taken["size"], "channels": taken["channels"]}}, *configs]
    if has_folder and checkpoint is None:
        # The name includes the folder, so that "the newest run of cnn" remains one of Fashion-MNIST.
        own = check_name(Path(str(own_folder)).resolve().name, "The folder of --data.folder")
        name = own if name == "own_pictures" else f"{name}_{own}"
    if weights is not None:  # so that `repeat` and `compare` tell such runs from those that started at random
        source = "_".join(weights.run_dir.parts[-2:]) if weights.run_dir else weights.path.stem
        name = check_name(f"{name}_from_{source}", f"The name of {weights.path}")
    base = checkpoint or weights
    if base is not None and base.is_own:  # the user wrote its config.yaml
        named |= _named_classes([], configs)
    own_modules.look_in_working_folder(named)
    if typed.get("--model.optimizer", "null") != "null" and not any(
        option.endswith(".lr") or "init_args" in typed["--model.optimizer"] for option in typed
    ):
        print("The learning rate stays as it was set for the previous optimizer; --lr sets another.", flush=True)
    _add_callbacks_up(configs, replaced="--trainer.callbacks" in typed)
    # As text: jsonargparse would read the files in the locale's encoding.
    arguments = [*(f"--config={yaml.safe_dump(config)}" for config in configs), *settings]
    return arguments, name, checkpoint, weights


def _name_of_folder(name: str, network: str, configs: Sequence[dict[str, Any]]) -> str:
    """Return the network's class name if the user chose another network than the recipe's, else the recipe's name."""
    networks = [*(config.get("model", {}).get("network") for config in configs), network]
    paths = [str(each.get("class_path") if isinstance(each, dict) else each) for each in networks]
    classes = [found[0].rpartition(".")[2] for path in paths if (found := own_modules.IMPORT_PATH.search(path))]
    return classes[-1] if classes and classes[-1] != classes[0] else name


def _resolve(
    command: str, given: str, typed: dict[str, str], configs: Sequence[dict[str, Any]], named: set[str]
) -> Checkpoint:
    """Read the checkpoint that ``--ckpt_path`` or ``--weights`` names, with the config to start from."""
    in_files = [config.get("trainer", {}).get("default_root_dir") for config in configs]
    roots = [root for root in (folder.LOGS, *in_files, typed.get("--trainer.default_root_dir")) if root]
    logs = Path(str(roots[-1])).expanduser()
    place = folder.find_run(given, logs)
    run_dir = folder.run_dir_of(place)
    goes_on = command == "fit" and (place.is_dir() or place.name == "last.ckpt")
    if goes_on and run_dir is not None and folder.lies_in(run_dir, logs) and processes.is_first_process():
        lock_run(run_dir)  # before the checkpoint is read, which a running fit replaces
    checkpoint = find_checkpoint(place, "last" if command == "fit" else "best", logs, named)
    if place != Path(given).expanduser() and (place.is_dir() or place.parent == folder.WEIGHTS):
        about = "no run yet, so the weights that come with the package are used"
        if place.is_dir():
            network = checkpoint.config["model"]["network"]["class_path"].rpartition(".")[2]
            epochs, state, *_ = summary(place)
            about = f"its newest run, {place} ({network}, {epochs} epochs, {state})"
        print(one_line(f"{given}: {about}"), flush=True)
    return checkpoint


def _add_callbacks_up(configs: Sequence[dict[str, Any]], replaced: bool) -> None:
    """Keep earlier configs' callbacks in later ones (jsonargparse drops them); print those that a flag drops."""
    callbacks: list[Any] = []
    for config in configs:
        if own := config.get("trainer", {}).get("callbacks"):
            own = own if isinstance(own, list) else [own]
            callbacks = config["trainer"]["callbacks"] = [*(kept for kept in callbacks if kept not in own), *own]
    if replaced and callbacks:
        names = ", ".join(str(one.get("class_path", one) if isinstance(one, dict) else one) for one in callbacks)
        print(f"--trainer.callbacks replaces {names}; --trainer.callbacks+=… adds to them.", flush=True)


def _named_classes(settings: Sequence[str], configs: Sequence[dict[str, Any]]) -> set[str]:
    """Collect the import paths that the user named for parts of the model or of the Trainer."""
    parts = [
        [config.get("model"), *map(config.get("trainer", {}).get, ("callbacks", "logger", "profiler"))]
        for config in configs
    ]
    flags = ("--model.", "--trainer.callbacks", "--trainer.logger", "--trainer.profiler")
    return own_modules.import_paths(
        [*parts, *(setting.partition("=")[2] for setting in settings if setting.startswith(flags))]
    )


def _read_config(file: Path) -> dict[str, Any]:
    """Read the settings of a config file."""
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise UserError(f"{file} is not a config: it must hold settings such as `model:` and `data:`.")
    for key, value in content.items():
        if key in ("ckpt_path", "config"):  # the parser would read another config without bounds
            raise UserError(f"{file}: --{key} belongs on the command line, not in a config file.")
        if key in SECTIONS and not isinstance(value, dict):
            raise UserError(f"{file}: `{key}:` must hold settings, not {value!r}.")
    return content
