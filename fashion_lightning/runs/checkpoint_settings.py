"""What a checkpoint may decide: numbers.

A checkpoint file may come from anybody. Of the config inside, ``validate``, ``test``, ``predict`` and Python take the
network, the precision, the validation split and the test-time augmentation; ``fit`` also what makes the training.
Whatever is not listed here (folders, files, devices, strategies, plugins, profilers, loggers) comes from the command
line, from config files that the user names, or from the ``config.yaml`` of a run folder where the user keeps runs.
"""

import math
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, get_args

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import read_yaml
from fashion_lightning.metrics import MONITORS
from fashion_lightning.runs.allowed_classes import IMPORT_PATH, Spec
from fashion_lightning.runs.checkpoint import OLD_KEYS, Checkpoint
from fashion_lightning.runs.network_size import check_size
from fashion_lightning.runs.results import flattened
from fashion_lightning.tta import TTA

Check = Callable[[Any], bool]


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) <= 2**53


def _number(value: Any) -> bool:
    return _whole(value) or (type(value) is float and math.isfinite(value))


def _flag(value: Any) -> bool:
    return type(value) is bool


def _duration(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\d{1,4}:\d\d:\d\d:\d\d", value))


def _one_of(*words: Any) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _any_of(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


MONITOR = _one_of(*MONITORS)
PRECISION = _one_of("32-true", "16-mixed", "bf16-mixed", "bf16-true", "16-true", "64-true", "32", "16", "64", "bf16")

EVALUATION: dict[str, Check] = {
    "model.tta": _one_of(*get_args(TTA)),
    "trainer.precision": _any_of(PRECISION, _one_of("transformer-engine")),
    "data.val_size": _number,  # validation images must be none that were trained on
}
"""What ``validate``, ``test`` and ``predict`` take beside the network."""

TRAINING: dict[str, Check] = {
    **EVALUATION,
    "seed_everything": _whole,
    "model.loss": _one_of("cross_entropy", "multi_margin"),
    "model.label_smoothing": _number,
    "data.batch_size": _whole,
    "data.train_size": _or_none(_whole),
    "data.prune": _number,
    "data.flip": _one_of("none", "random", "alternating"),
    "data.shift": _whole,
    "data.cutout": _whole,
    "trainer.max_epochs": _or_none(_whole),
    "trainer.min_epochs": _or_none(_whole),
    "trainer.max_steps": _whole,
    "trainer.min_steps": _or_none(_whole),
    "trainer.max_time": _or_none(_duration),
    "trainer.limit_train_batches": _or_none(_number),
    "trainer.limit_val_batches": _or_none(_number),
    "trainer.val_check_interval": _or_none(_number),
    "trainer.check_val_every_n_epoch": _or_none(_whole),
    "trainer.num_sanity_val_steps": _or_none(_whole),
    "trainer.log_every_n_steps": _or_none(_whole),
    "trainer.accumulate_grad_batches": _whole,
    "trainer.gradient_clip_val": _or_none(_number),
    "trainer.gradient_clip_algorithm": _or_none(_one_of("norm", "value")),
    "trainer.deterministic": _or_none(_any_of(_flag, _one_of("warn"))),
    "trainer.benchmark": _or_none(_flag),
    "early_stopping.patience": _whole,
    "early_stopping.monitor": MONITOR,
    "early_stopping.min_delta": _number,
    "best_checkpoint.monitor": MONITOR,
    "last_checkpoint.every_n_minutes": _number,
    "last_checkpoint.every_n_steps": _or_none(_whole),
}
"""What ``fit`` takes beside network, optimizer, schedule and the callbacks that are part of the training."""

PARTS = ("network", "optimizer", "scheduler")
"""Of the classifier: those that are classes."""

OLD_HYPERPARAMETERS = ("hparams", "module_arguments")
"""Where Lightning still looks for them."""

NOT_TAKEN: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("output", "trainer.callbacks", "trainer.plugins", "trainer.profiler"), (None,)),
    "data.root": (None, "data"),
    "trainer.accelerator": ("auto", "cpu"),
    "trainer.default_root_dir": ("tensorboard_logs",),
    "trainer.devices": ("auto", 1),
    "trainer.logger": (None, True),
    "trainer.num_nodes": (1,),
    "trainer.strategy": ("auto",),
    "trainer.sync_batchnorm": (False,),
}
"""Settings of a checkpoint that are named if they are not what everybody has: they were not taken."""


def decided_settings(settings: dict[str, Any], command: str, named: Collection[str] = ()) -> dict[str, Any]:
    """What a command takes of a checkpoint's config.

    Args:
        settings: the config, as plain values.
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        named: import paths of classes that the user has named.

    Returns:
        A config with these settings only.

    Raises:
        UserError: the end of a sentence about the checkpoint: what it holds instead of a number.
    """
    taken: dict[str, Any] = {"model": {"network": network_spec(settings, named).as_config()}}
    for name, is_right in (TRAINING if command == "fit" else EVALUATION).items():
        *sections, key = name.split(".")
        section = _section(settings, sections[0]) if sections else settings
        if key not in section or (section[key] is None and not is_right(None)):
            continue
        if not is_right(section[key]):
            raise UserError(f"its {name} is {str(section[key])[:60]!r}, which cannot be meant")
        (taken.setdefault(sections[0], {}) if sections else taken)[key] = section[key]
    if command == "fit":
        for part in ("optimizer", "scheduler"):
            value = _section(settings, "model").get(part)
            taken["model"][part] = None if value is None else Spec(value, part, named).as_config()
        if callbacks := _callbacks(settings, named):
            taken.setdefault("trainer", {})["callbacks"] = callbacks
    return taken


def network_spec(settings: dict[str, Any], named: Collection[str] = ()) -> Spec:
    """The network that a config names.

    Raises:
        UserError: as ``decided_settings``.
    """
    return Spec(_section(settings, "model").get("network"), "network", named)


def _section(settings: dict[str, Any], name: str) -> dict[str, Any]:
    section = settings.get(name)
    if not isinstance(section, dict):
        raise UserError(f"its config lacks {name}")
    return section


def _callbacks(settings: dict[str, Any], named: Collection[str]) -> list[dict[str, Any]]:
    """Those that are part of the training and allowed; others write files, or belong to who ran it."""
    given = _section(settings, "trainer").get("callbacks") or []
    kept = []
    for value in given if isinstance(given, list) else [given]:
        try:
            kept.append(Spec(value, "callback", named).as_config())
        except UserError:
            continue
    return kept


def config_to_use(
    checkpoint: Checkpoint, command: str, own: bool, named: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """The config that a command builds on when ``--ckpt_path`` names a checkpoint.

    Args:
        checkpoint: where the run goes on from.
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        own: whether its run folder lies where the user keeps runs. Then the folder's config.yaml counts, as any
            config file that the user names.
        named: import paths of classes that the user has named.

    Returns:
        The config, and what a user should be told of it.

    Raises:
        UserError: the config holds what it may not.
    """
    file = checkpoint.run_dir / "config.yaml" if checkpoint.run_dir else None
    if own and file is not None and file.is_file():
        settings = read_yaml(file)
        if not isinstance(settings, dict) or not isinstance(settings.get("model"), dict):
            raise UserError(f"{file} holds no settings. Delete it, and those of the checkpoint are taken.")
        settings = {key: value for key, value in settings.items() if key not in OLD_KEYS}
        return settings, _edits(file, settings, checkpoint) if command == "fit" else []
    try:
        _check_hyperparameters(checkpoint.content, named)
        decided = decided_settings(checkpoint.settings, command, named)
        check_size(network_spec(checkpoint.settings, named), checkpoint.content["state_dict"])
    except UserError as error:
        raise UserError(f"{checkpoint.path} cannot be used: {error}.{_if_it_is_yours(checkpoint)}") from error
    return decided, _left_out(checkpoint, decided)


def import_paths(settings: Any) -> set[str]:
    """The import paths among the values of settings."""
    if isinstance(settings, str):
        return set(IMPORT_PATH.findall(settings))
    parts = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    return set().union(*map(import_paths, parts))


def saved_arguments(content: dict[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The arguments of the classifier that Lightning has saved: numbers and words as they are, classes built.

    Args:
        content: of a checkpoint file, of any Trainer.
        given: names of the arguments that the user gives, of which nothing is looked at.

    Raises:
        UserError: the end of a sentence about the checkpoint: what it holds instead.
    """
    saved = {name: value for name, value in _hyperparameters(content).items() if name not in given}
    arguments: dict[str, Any] = {name: saved[name] for name in ("loss", "label_smoothing", "tta") if name in saved}
    for name, value in arguments.items():
        if not TRAINING[f"model.{name}"](value):
            raise UserError(f"its {name} is {str(value)[:60]!r}, which cannot be meant")
    specs = {part: Spec(saved[part], part) for part in PARTS if saved.get(part) is not None}
    if "network" in specs:
        check_size(specs["network"], content["state_dict"])
        arguments["network"] = specs.pop("network").build()
    elif "network" not in given:
        raise UserError("it names no network; give the one that its weights are of as network=…")
    return {**arguments, **{part: spec.factory() for part, spec in specs.items()}}


def _hyperparameters(content: dict[str, Any]) -> dict[str, Any]:
    """The settings of the model, which Lightning keeps a second time beside the config."""
    saved = content.get("hyper_parameters", {})
    if any(key in content for key in OLD_HYPERPARAMETERS) or not isinstance(saved, dict) or "_class_path" in saved:
        raise UserError("it holds hyperparameters in a form that this package never wrote")
    return saved


def _check_hyperparameters(content: dict[str, Any], named: Collection[str]) -> None:
    """Nothing reads them beside a config, but ``load_from_checkpoint`` would."""
    saved = _hyperparameters(content)
    for part in PARTS:
        if saved.get(part) is not None:
            Spec(saved[part], part, named)


def _edits(file: Path, settings: dict[str, Any], checkpoint: Checkpoint) -> list[str]:
    """What was edited in a config.yaml, which counts."""
    ours, saved = (dict(flattened(part)) for part in (settings, checkpoint.settings))
    edited = sorted(key for key in ours.keys() & saved.keys() if ours[key] != saved[key])
    return [f"{file} differs from the checkpoint, and counts: {', '.join(edited)}"] if edited else []


def _left_out(checkpoint: Checkpoint, decided: dict[str, Any]) -> list[str]:
    """Settings of a checkpoint that were not taken and may have mattered."""
    taken, had = (dict(flattened(settings)) for settings in (decided, checkpoint.settings))
    left = [name for name, ordinary in NOT_TAKEN.items() if name in had.keys() - taken and had[name] not in ordinary]
    left += [name for name in NOT_TAKEN if any(key.startswith(f"{name}.") for key in had)]  # a class and arguments
    why = f"Not taken from {checkpoint.path}, since a checkpoint decides numbers only"
    advice = f"Name them yourself if you want them.{_if_it_is_yours(checkpoint)}"
    return [f"{why}: {', '.join(left)}. {advice}"] if left else []


def _if_it_is_yours(checkpoint: Checkpoint) -> str:
    """How the config.yaml of a run folder in another place comes to count."""
    if checkpoint.run_dir is None:
        return ""
    logs = checkpoint.run_dir.parent.parent
    return f" If you keep your runs in {logs}, add --trainer.default_root_dir {logs}"
