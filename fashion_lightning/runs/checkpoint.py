"""Find and read checkpoints: those of the user's own runs completely, of all other files only weights and card.

Imports torch only when it reads a file.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fashion_lightning.data.classes import NO_LIMITS, Limits
from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import parse_yaml, read_yaml
from fashion_lightning.runs.folder import LOGS, as_typed, lies_in, newest_run_hint, run_dir_of, run_id_of
from fashion_lightning.runs.weights import SAFETENSORS, read_checkpoint_file, read_weights

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """A file with weights, read and checked. It is *own* if it lies in a run folder where the user keeps runs."""

    path: Path
    run_dir: Path | None
    """The run folder that contains it; ``None`` for a file elsewhere."""
    name: str
    """The recipe's name."""
    weights: dict[str, "Tensor"]
    config: dict[str, Any]
    """The settings that a command starts from: the run's ``config.yaml``, or those that the card contains."""
    content: dict[str, Any] = field(default_factory=dict)
    """All that Lightning saved, if the checkpoint is own; else empty."""
    limits: Limits = NO_LIMITS
    in_place: bool = False
    """Whether ``fit`` continues in the same run folder, not in a new one."""

    @property
    def is_own(self) -> bool:
        """Check whether it belongs to a run in a folder where the user keeps runs."""
        return bool(self.content)

    @property
    def own(self) -> dict[str, Any]:
        """Return what this package added to Lightning's content."""
        return self.content["fashion_lightning"]  # type: ignore[no-any-return]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Return the settings that it was trained with, as far as they are known."""
        return parse_yaml(self.own["config"], f"The config in {self.path}") if self.is_own else self.config

    @property
    def steps_done(self) -> int | None:
        """Return the number of optimizer steps; ``None`` if the checkpoint is not own."""
        return self.content.get("global_step")

    @property
    def loop(self) -> dict[str, Any]:
        """Return the progress of Lightning's fit loop."""
        return self.content["loops"]["fit_loop"]  # type: ignore[no-any-return]

    @property
    def epochs_done(self) -> int:
        """Return the number of completed epochs, including their validation."""
        return int(self.loop["epoch_progress"]["current"]["processed"])

    @property
    def batches_of_epoch_done(self) -> int:
        """Return the number of batches trained in an unfinished epoch; 0 between epochs."""
        batches = self.loop["epoch_loop.batch_progress"]
        return 0 if batches["is_last_batch"] else int(batches["current"]["processed"])


def find_checkpoint(given: str | Path, wanted: str, logs: Path = LOGS, named: Collection[str] = ()) -> Checkpoint:
    """Find and read the checkpoint of a run folder, or a file.

    Args:
        given: run folder, checkpoint file or safetensors file.
        wanted: ``best``; or ``last``, to continue a run. The best checkpoint replaces a damaged or missing last one,
            with a message.
        logs: folder of all runs.
        named: import paths of networks that the user has named.

    Raises:
        UserError: there is no checkpoint, or it cannot be used.
    """
    path = Path(given).expanduser()
    if path.is_dir() and not any(path.glob("checkpoints/*.ckpt")):
        raise UserError(f"{path} is not a run folder with a checkpoint.{newest_run_hint(logs)}")
    best, last = (path / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    if not path.is_dir():
        checkpoint = read_checkpoint(path, logs, named)
    elif wanted == "last":
        checkpoint = _last_of(last, best, logs, named)
    elif best.is_file():
        checkpoint = read_checkpoint(best, logs, named)
    else:
        raise UserError(f"{path} has no best checkpoint yet; to use the last one: --ckpt_path {last}")
    if wanted == "last" and not checkpoint.is_own:
        kept = f" If you keep runs there: --ckpt_path {as_typed(path)}." if checkpoint.run_dir else ""
        raise UserError(
            f"{path} does not belong to a run of yours, so it cannot be continued.{kept} To start a new run from its"
            f" weights: fashion-lightning fit --weights {path}"
        )
    return replace(checkpoint, in_place=checkpoint.is_own and (path.is_dir() or path.name == "last.ckpt"))


def _last_of(last: Path, best: Path, logs: Path, named: Collection[str]) -> Checkpoint:
    """Read the last checkpoint of a run; if that fails, read the best one and print a message."""
    try:
        return read_checkpoint(last, logs, named)
    except UserError as error:
        if not best.is_file():
            raise
        checkpoint = read_checkpoint(best, logs, named)
        if checkpoint.is_own:
            # Checkpoints do not contain accumulated gradients.
            steps = checkpoint.config["trainer"].get("accumulate_grad_batches") or 1
            is_exact = checkpoint.batches_of_epoch_done % steps == 0
            loss = "" if is_exact else " The run will not end with the same bits as an undisturbed one."
            print(f"{error} Going on from {best}, the best checkpoint.{loss}", flush=True)
        return checkpoint


def read_checkpoint(path: Path, logs: Path = LOGS, named: Collection[str] = ()) -> Checkpoint:
    """Read a checkpoint or safetensors file.

    Raises:
        UserError: the file is missing, damaged or unusable, or lies in the folder of another run.
    """
    run_dir = run_dir_of(path)
    run_id = run_id_of(run_dir) if run_dir and lies_in(run_dir, logs) and path.suffix.lower() != SAFETENSORS else None
    if run_dir is None or run_id is None:
        weights, card = read_weights(path, named)
        config = {
            "model": {"network": card.network, "tta": card.tta, "images": asdict(card.images)},
            "data": {"val_size": card.val_size, "photographs": card.images.photographs * card.images.size},
        }
        return Checkpoint(path, run_dir, card.recipe, weights, config, limits=card.limits)
    try:
        content = read_checkpoint_file(path)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}.") from error
    own, file = content.get("fashion_lightning"), run_dir / "config.yaml"
    if not isinstance(own, dict) or own.get("run") != run_id:
        raise UserError(f"{path} belongs to another run than the folder it lies in; move it elsewhere to use it.")
    settings = read_yaml(file) if file.is_file() else parse_yaml(own["config"], f"The config in {path}")
    if (
        not isinstance(settings, dict)
        or not all(isinstance(settings.get(section), dict) for section in ("model", "data", "trainer"))
        or not isinstance(settings["model"].get("network"), dict)
        or "class_path" not in settings["model"]["network"]
    ):
        raise UserError(
            f"{file} lacks model, data, trainer or a network's class_path. Delete it to use the checkpoint's settings."
        )
    limits = Limits(**own.get("limits", {}))
    return Checkpoint(path, run_dir, own["name"], content["state_dict"], settings, content, limits)
