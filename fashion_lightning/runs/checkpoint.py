"""Checkpoint files, found and read; torch is not imported before one is."""

import contextlib
import pickle
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from fashion_lightning.errors import UserError
from fashion_lightning.runs.folder import newest_run_hint, run_dir_of

OLD_KEYS = {"ckpt_path", "weights_only"}
"""What a run of version 0.1 kept among its settings."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file that was read and understood."""

    path: Path
    run_dir: Path | None
    """The run folder it lies in; ``None`` for a file that was moved elsewhere."""
    content: dict[str, Any]
    """What Lightning saved, all of it plain values and tensors."""
    in_place: bool = False
    """Whether ``fit`` goes on in the run folder itself, not in a new one."""

    @property
    def version(self) -> str:
        """Of the package that wrote it."""
        return str(self.content["fashion_lightning"].get("version", "unknown"))

    @property
    def config(self) -> str:
        """The whole config of the run, as YAML."""
        return str(self.content["fashion_lightning"]["config"])

    @property
    def settings(self) -> dict[str, Any]:
        """The same as plain values."""
        settings: dict[str, Any] = yaml.safe_load(self.config)
        return {key: value for key, value in settings.items() if key not in OLD_KEYS}

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.content["fashion_lightning"]["name"])

    @property
    def epochs_done(self) -> int:
        """Epochs trained to their end, validation included."""
        return int(self.content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])

    @property
    def in_mid_epoch(self) -> bool:
        """Whether some batches of an epoch are still to be trained on."""
        batches = self.content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        return not batches["is_last_batch"] and batches["current"]["processed"] > 0

    @property
    def within_epoch(self) -> bool:
        """Whether an epoch has begun whose training metrics are still to be logged, be it after its last batch."""
        loop = self.content["loops"]["fit_loop"]
        epochs, batches = (loop[name]["current"] for name in ("epoch_progress", "epoch_loop.batch_progress"))
        return bool(epochs["processed"] < epochs["started"] and batches["processed"] > 0)

    @property
    def steps_done(self) -> int:
        """Optimizer steps."""
        return int(self.content["global_step"])


def find_checkpoint(given: str, wanted: str) -> Checkpoint:
    """Resolve what the user gave as ``--ckpt_path``.

    A last checkpoint that is torn or missing is replaced by the newest one that is whole, which is said.

    Args:
        given: a run folder or a checkpoint file.
        wanted: of a folder, ``last`` or ``best``.

    Raises:
        UserError: there is no checkpoint, or it cannot be used.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        last = _last_of(path)
        return last if wanted == "last" else read_checkpoint(_best_of(last))
    if not path.exists():
        raise UserError(f"There is no run folder or checkpoint at {given}.{newest_run_hint()}")
    checkpoint = read_checkpoint(path)
    return replace(checkpoint, in_place=path.name == "last.ckpt" and checkpoint.run_dir is not None)


def _last_of(run_dir: Path) -> Checkpoint:
    last = run_dir / "checkpoints" / "last.ckpt"
    try:
        return replace(read_checkpoint(last), in_place=True)
    except UserError as error:
        problem = error
    whole = []
    for path in last.parent.glob("*.ckpt"):
        with contextlib.suppress(UserError):  # not this one either
            whole.append(read_checkpoint(path))
    if whole:
        newest = max(whole, key=lambda checkpoint: checkpoint.steps_done)
        print(f"{problem} Going on from {newest.path}, the newest whole checkpoint.", flush=True)
        return replace(newest, in_place=True)
    if not last.exists():
        raise UserError(f"{run_dir} is not a run folder with a checkpoint ({last} is missing).{newest_run_hint()}")
    raise problem


def _best_of(last: Checkpoint) -> Path:
    """The best checkpoint as the callback recorded it; by name only, since the folder may have moved."""
    for key, state in last.content["callbacks"].items():
        if key.startswith("BestCheckpoint") and state["best_model_path"]:
            best = last.path.parent / Path(state["best_model_path"]).name
            if best.is_file():
                return best
            raise UserError(f"The best checkpoint {best} is missing; to use the last one: --ckpt_path {last.path}")
    raise UserError(f"{last.run_dir} has no best checkpoint yet; to use the last one: --ckpt_path {last.path}")


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file; only plain values and tensors are ever unpickled.

    Raises:
        UserError: the file is torn, is no checkpoint, or is not from this project.
    """
    import torch

    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not compare the checksums
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing.") from error
    except Exception as error:  # zipfile raises a dozen kinds for damaged bytes
        raise UserError(f"{path} is not a whole checkpoint file ({str(error).lower()}).") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} holds more than plain values and tensors; it is not opened.") from error
    except Exception as error:  # a zip file, but not one of torch's
        raise UserError(
            f"{path} is not a checkpoint ({(str(error) or type(error).__name__).splitlines()[0]})."
        ) from error
    if not isinstance(content, dict) or "fashion_lightning" not in content or "state_dict" not in content:
        raise UserError(
            f"{path} was not written by the fashion-lightning command and holds no config; in Python, use"
            " FashionMNISTClassifier.load_from_checkpoint(path, network=...)."
        )
    checkpoint = Checkpoint(path, run_dir_of(path), content)
    if problem := _lack_of(checkpoint):
        raise UserError(f"{path} is not a checkpoint of this package ({problem}).")
    return checkpoint


def _lack_of(checkpoint: Checkpoint) -> str:
    """What a checkpoint of this package would hold and this one does not, before anything is made of it."""
    try:
        settings, _ = checkpoint.settings, (checkpoint.name, checkpoint.epochs_done, checkpoint.steps_done)
        _ = checkpoint.in_mid_epoch, checkpoint.within_epoch
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
    if not isinstance(settings, dict) or "config" in settings:  # it would name another file
        return "its config holds no settings"
    parts = {**settings, **checkpoint.content}
    lacking = [name for name in ("model", "data", "trainer", "callbacks") if not isinstance(parts.get(name), dict)]
    return f"it lacks {lacking[0]}" if lacking else ""
