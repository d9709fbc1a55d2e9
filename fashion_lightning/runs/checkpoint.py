"""Checkpoint files, found and read; torch is not imported before one is."""

import contextlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import parse_yaml
from fashion_lightning.files.names import check_name
from fashion_lightning.runs.folder import newest_run_hint, run_dir_of, run_id_of

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
        version = str(self.content["fashion_lightning"]["version"])
        return version[:20] if version.isprintable() else "unknown"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The whole config of the run, as plain values.

        Raises:
            UserError: it is no config.
        """
        settings = parse_yaml(self.content["fashion_lightning"]["config"], f"The config in {self.path}")
        if not isinstance(settings, dict):
            raise UserError(f"The config in {self.path} holds no settings.")
        return {key: value for key, value in settings.items() if key not in OLD_KEYS}

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.content["fashion_lightning"]["name"])

    @property
    def run_id(self) -> str | None:
        """The run that wrote it; ``None`` if that was version 0.1."""
        run = self.content["fashion_lightning"].get("run")
        return run if isinstance(run, str) else None

    @property
    def processes(self) -> int | None:
        """That trained together; ``None`` of a run that did not say so, as those of version 0.1."""
        processes = self.content["fashion_lightning"].get("processes")
        return processes if type(processes) is int else None

    @property
    def epochs_done(self) -> int:
        """Epochs trained to their end, validation included."""
        return int(self.content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])

    @property
    def epochs_trained(self) -> int:
        """Epochs trained to their last batch; the validation of the last one may still be under way."""
        loop = self.content["loops"]["fit_loop"]
        count = "started" if loop["epoch_loop.batch_progress"]["is_last_batch"] else "processed"
        return int(loop["epoch_progress"]["current"][count])

    @property
    def in_mid_epoch(self) -> bool:
        """Whether some batches of an epoch are still to be trained on."""
        batches = self.content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        return not batches["is_last_batch"] and batches["current"]["processed"] > 0

    @property
    def batches_of_epoch_done(self) -> int:
        """Batches that were trained on of an epoch whose rest is still to come; else 0."""
        batches = self.content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        return int(batches["current"]["processed"]) if self.in_mid_epoch else 0

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

    @property
    def images_done(self) -> int | None:
        """Images trained on, as often as they were; ``None`` of a run that did not count them."""
        images = self.content["callbacks"].get("ImagesSeen", {}).get("images")
        return images if type(images) is int else None

    @property
    def holds_half_a_step(self) -> bool:
        """Whether gradients were accumulated that no checkpoint holds."""
        batches = self.content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["processed"]
        window = self.settings["trainer"].get("accumulate_grad_batches") or 1
        return bool(self.in_mid_epoch and batches % window)


def find_checkpoint(given: str, wanted: str) -> Checkpoint:
    """Resolve what the user gave as ``--ckpt_path``.

    A last checkpoint that is torn or missing is replaced by another one of its run, which is said.

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
    """The last checkpoint; else the best one, which is as exact; else the newest one, with a warning."""
    last = run_dir / "checkpoints" / "last.ckpt"
    try:
        return replace(read_checkpoint(last), in_place=True)
    except UserError as error:
        problem = error
    others = []
    for path in last.parent.glob("*.ckpt"):
        with contextlib.suppress(UserError):  # not this one either
            others.append(read_checkpoint(path))
    if others:
        exact = [other for other in others if other.path.name == "best.ckpt" and not other.holds_half_a_step]
        chosen = exact[0] if exact else max(others, key=lambda other: other.steps_done)
        which = "the best checkpoint" if exact else "the newest whole checkpoint"
        loss = "" if exact else " The run will not end with the same bits as an undisturbed one."
        print(f"{problem} Going on from {chosen.path}, {which}.{loss}", flush=True)
        return replace(chosen, in_place=True)
    if not last.exists():
        raise UserError(f"{run_dir} is not a run folder with a checkpoint ({last} is missing).{newest_run_hint()}")
    raise problem


def _best_of(last: Checkpoint) -> Path:
    """The best checkpoint as the callback recorded it; by name only, since the folder may have moved."""
    for key, state in last.content["callbacks"].items():
        if key.startswith("BestCheckpoint") and Path(state["best_model_path"]).name == "best.ckpt":
            best = last.path.parent / "best.ckpt"
            if best.is_file():
                return best
            raise UserError(f"The best checkpoint {best} is missing; to use the last one: --ckpt_path {last.path}")
    raise UserError(f"{last.run_dir} has no best checkpoint yet; to use the last one: --ckpt_path {last.path}")


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file; only plain values and tensors are ever unpickled.

    Raises:
        UserError: the file is torn, is no checkpoint, is not from this project, or lies in the folder of another run.
    """
    from fashion_lightning.runs.checkpoint_content import load

    checkpoint = Checkpoint(path, run_dir_of(path), load(path))
    check_name(checkpoint.name, f"The recipe of {path}")
    for part in ("model", "data", "trainer"):
        if not isinstance(checkpoint.settings.get(part), dict):
            raise UserError(f"{path} is not a checkpoint of this package (its config lacks {part}).")
    folder = checkpoint.run_dir
    if folder is not None and checkpoint.run_id is not None and run_id_of(folder) not in (None, checkpoint.run_id):
        raise UserError(f"{path} belongs to another run than the folder it lies in; move it elsewhere to use it.")
    return checkpoint
