"""Run folders: one folder a run, found and read back.

    tensorboard_logs/<recipe>/version_N/
        config.yaml            every setting of the run
        checkpoints/best.ckpt  best on the validation images
        checkpoints/last.ckpt  to continue from
        events.out.tfevents.*  for TensorBoard
        fit.json               what the fit ended with
        test_best.json         what `test` measured

Nothing here imports torch before a checkpoint is read.
"""

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError

LOGS = Path("tensorboard_logs")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file that was read and understood."""

    path: Path
    run_dir: Path | None
    """The run folder it lies in; ``None`` for a file that was moved elsewhere."""
    content: dict[str, Any]
    """What Lightning saved, all of it plain values and tensors."""

    @property
    def config(self) -> str:
        """The whole config of the run, as YAML."""
        return str(self.content["fashion_lightning"]["config"])

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
    def steps_done(self) -> int:
        """Optimizer steps."""
        return int(self.content["global_step"])


def new_run_dir(logs: Path, name: str) -> Path:
    """Create and return ``logs/name/version_N`` with the next free N; safe against a second process."""
    folder = logs / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = [int(path.name[8:]) for path in folder.glob("version_*") if path.name[8:].isdigit()]
        version = max(taken, default=-1) + 1
        while True:
            try:
                (folder / f"version_{version}").mkdir()
            except FileExistsError:
                version += 1
            else:
                return folder / f"version_{version}"
    except OSError as error:
        raise UserError(
            f"No run folder can be made in {folder.absolute()} ({error.strerror}). Name another place with"
            " --trainer.default_root_dir."
        ) from error


def newest_run(logs: Path = LOGS) -> Path | None:
    """The run folder whose checkpoint was written last, if there is one."""
    files = logs.glob("*/version_*/checkpoints/*.ckpt")
    newest = max(files, key=lambda path: path.stat().st_mtime, default=None)
    return newest.parent.parent if newest else None


def find_checkpoint(given: str, wanted: str) -> Checkpoint:
    """Resolve what the user gave as ``--ckpt_path``.

    Args:
        given: a run folder or a checkpoint file.
        wanted: of a folder, ``last`` or ``best``.

    Raises:
        UserError: there is no checkpoint, or it cannot be used.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        last, best = (path / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
        try:
            if not last.is_file():
                raise UserError(f"{given} is not a run folder with a checkpoint ({last} is missing).{_hint()}")
            checkpoint = read_checkpoint(last)
        except UserError as error:
            if not best.is_file():
                raise
            if wanted == "best":  # it holds its own record
                return read_checkpoint(best)
            raise UserError(f"{error} To go on from the best one, as a new run: --ckpt_path {best}") from error
        return checkpoint if wanted == "last" else read_checkpoint(_best_of(checkpoint))
    if not path.exists():
        raise UserError(f"There is no run folder or checkpoint at {given}.{_hint()}")
    return read_checkpoint(path)


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
        content = torch.load(path, map_location="cpu", weights_only=True)
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is not a whole checkpoint file ({str(error).lower()}).") from error
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} holds more than plain values and tensors; it is not opened.") from error
    except RuntimeError as error:  # a zip file, but not one of torch's
        raise UserError(f"{path} is not a checkpoint ({str(error).splitlines()[0]}).") from error
    if not isinstance(content, dict) or "fashion_lightning" not in content or "state_dict" not in content:
        raise UserError(
            f"{path} was not written by the fashion-lightning command and holds no config; in Python, use"
            " FashionMNISTClassifier.load_from_checkpoint(path, network=...)."
        )
    in_run = path.parent.name == "checkpoints" and (path.parent.parent / "config.yaml").is_file()
    return Checkpoint(path, path.parent.parent if in_run else None, content)


def _hint() -> str:
    run = newest_run()
    return f" Your newest run: {run}" if run else " There are no runs here yet: fashion-lightning fit"
