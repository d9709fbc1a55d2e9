"""Which classes a checkpoint may name.

Building what a config names means importing and calling it. A config file is the user's own, the
config.yaml of a run folder too; the config inside a checkpoint may come from anybody.
"""

import pydoc
import re
from collections.abc import Iterator
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.runs import Checkpoint

TRUSTED = ("fashion_lightning", "torch", "torchvision", "lightning", "torchmetrics")
"""Packages whose classes a checkpoint may name."""

_NEVER = re.compile(r"torch\.(hub|package|jit|serialization|utils\.cpp_extension)\b|.*\._")
"""Parts of them that load or compile other code."""

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_FREE_TEXT = ("trainer.default_root_dir", "data.root", "model._instantiator")  # places; what Lightning checks


def refuse_foreign_classes(checkpoint: Checkpoint, vouched: str = "") -> None:
    """Check every import path in the config and the hyperparameters of a checkpoint, before anything is imported.

    Args:
        checkpoint: the checkpoint.
        vouched: what the user typed; a class that is named there may be used.

    Raises:
        UserError: naming the first thing that is no class of this package or of torch.
    """
    origin, settings = checkpoint.path, checkpoint.settings
    if checkpoint.run_dir is not None:
        vouched += (checkpoint.run_dir / "config.yaml").read_text(errors="replace")
    hyperparameters = {"model": checkpoint.content.get("hyper_parameters", {})}
    for key, path in (*_import_paths(settings), *_import_paths(hyperparameters)):
        option = f"--{key.removesuffix('.class_path')} {path}"
        if re.search(rf"(?<![\w.]){re.escape(path)}(?![\w.])", vouched):
            continue
        if path.split(".")[0] not in TRUSTED or _NEVER.match(path):
            raise UserError(
                f"{origin} names {path}, which is neither of this package nor of torch; nothing of it was imported."
                f" If you trust it, name it yourself: {option}, or in Python trusted={path!r}"
            )
        if not isinstance(pydoc.locate(path), type):
            raise UserError(f"{origin} names {path}, which is no class of this version; choose another: {option}")


def _import_paths(settings: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(settings, dict):
        for name, value in settings.items():
            yield from _import_paths(value, f"{key}.{name}" if key else str(name))
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _import_paths(value, key)
    elif isinstance(settings, str) and key not in _FREE_TEXT and _IMPORT_PATH.fullmatch(settings.strip()):
        yield key, settings.strip()
