"""Which classes a checkpoint may name.

Building what a config names means importing and calling it. A config file is the user's own, the
config.yaml of a run folder too; the config inside a checkpoint may come from anybody.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import Checkpoint

TRUSTED = ("fashion_lightning", "torch", "torchvision", "lightning", "torchmetrics")
"""Packages whose classes a checkpoint may name."""

NEVER = (
    "torch.hub",
    "torch.jit",
    "torch.load",
    "torch.package",
    "torch.serialization",
    "torch.utils.cpp_extension",
    "torch.distributed",
    "lightning.pytorch.cli",
    "fashion_lightning.cli.main",
)
"""Parts of them that load, compile or start other code."""

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_OLD_HYPERPARAMETERS = ("hparams", "module_arguments")  # which Lightning still reads


@contextlib.contextmanager
def only_trusted_classes(checkpoint: Checkpoint, vouched: str = "") -> Iterator[None]:
    """Let jsonargparse import nothing but trusted classes, while what the checkpoint names is built.

    Args:
        checkpoint: where the settings come from.
        vouched: what the user typed; a class that is named there, or in the run folder's config.yaml, may
            be used.

    Raises:
        UserError: naming the first thing that is not of this package or of torch.
    """
    from jsonargparse import _common, set_parsing_settings

    if checkpoint.run_dir is not None:
        vouched += (checkpoint.run_dir / "config.yaml").read_text(encoding="utf-8", errors="replace")
    own = {path for path in _IMPORT_PATH.findall(vouched) if path.split(".")[0] not in (*TRUSTED, "jsonargparse")}
    _refuse_foreign_hyperparameters(checkpoint, own)
    before = dict(_common.parsing_settings)  # private, but nothing public takes a restriction back
    set_parsing_settings(
        import_path_denylist=["*", *NEVER],
        import_path_allowlist=[*TRUSTED, *sorted(own)],
        instantiate_subclass_spec_in_any=False,
    )
    try:
        yield
    except UserError as error:
        if denied := re.search(r"Importing '([\w.]+)' is not allowed", str(error)):
            raise _refusal(checkpoint, denied[1]) from error
        raise
    finally:
        _common.parsing_settings.update(before)


def _refuse_foreign_hyperparameters(checkpoint: Checkpoint, own: set[str]) -> None:
    """Lightning keeps the settings a second time; the command does not use them, but others may."""
    content = checkpoint.content
    for path in _import_paths([content.get(key) for key in ("hyper_parameters", *_OLD_HYPERPARAMETERS)]):
        known = path.startswith(tuple(f"{package}." for package in TRUSTED)) and not path.startswith(NEVER)
        if not known and path not in own and path != "lightning.pytorch.cli.instantiate_module":
            raise _refusal(checkpoint, path)
    if any(key in content for key in _OLD_HYPERPARAMETERS):
        raise UserError(f"{checkpoint.path} holds hyperparameters in a form that this package never wrote.")


def _import_paths(settings: Any) -> Iterator[str]:
    if isinstance(settings, dict):
        settings = [*settings.keys(), *settings.values()]
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from _import_paths(value)
    elif isinstance(settings, str):
        yield from _IMPORT_PATH.findall(settings)


def _refusal(checkpoint: Checkpoint, path: str) -> UserError:
    return UserError(
        f"{checkpoint.path} names {path}, which a checkpoint may not: it is no class of this package or of torch, and"
        f" was not imported. If you trust it, name it yourself: a config file that holds it, or in Python"
        f" trusted={path!r}"
    )
