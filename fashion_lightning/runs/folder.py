"""Run folders: one folder a run, made and found.

tensorboard_logs/<recipe>/version_N/
    run.json               which run it is, as its checkpoints say too, and where it comes from
    config.yaml            every setting of the run
    checkpoints/best.ckpt  best on the validation images
    checkpoints/last.ckpt  to continue from
    events.out.tfevents.*  for TensorBoard
    progress.json          how far the fit is, for whoever watches it
    fit.json               what the fit ended with
    test_best.json         what `test` measured
    test_best.html         the same as a page for people
    predictions.csv        what `predict` said of the test images
"""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import read_bounded
from fashion_lightning.files.durable import replacing

LOGS = Path("tensorboard_logs")

RUN_NUMBER = "FASHION_LIGHTNING_RUN_NUMBER"
"""Environment variable in which ``sweep`` says which number a new run gets."""

RUN_FILE = "run.json"
MAX_RUN_FILE_BYTES = 64 * 1024


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


def numbered_run_dir(logs: Path, name: str, number: str) -> Path:
    """Create ``logs/name/version_N`` for a number that is given; a folder that is there stays as it is.

    Raises:
        UserError: it cannot be made.
    """
    run_dir = logs / name / f"version_{number}"
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"No run folder {run_dir.absolute()} can be made ({error.strerror}).") from error
    return run_dir


def clear_begun(run_dir: Path) -> None:
    """Take out of a run folder, which is locked, what a run left that was killed before its first checkpoint.

    Raises:
        UserError: it has one.
    """
    if any(run_dir.glob("checkpoints/*.ckpt")):
        raise UserError(f"{run_dir} holds a run already; continue it with --ckpt_path {run_dir}.")
    for path in run_dir.iterdir():
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def discard_run(run_dir: Path) -> None:
    """Remove the folder of a run that failed before its first checkpoint, and those above it that are empty then."""
    shutil.rmtree(run_dir, ignore_errors=True)
    with contextlib.suppress(OSError):  # other runs are there
        run_dir.parent.rmdir()
        if run_dir.parent.parent.name == LOGS.name:  # any other place was there before
            run_dir.parent.parent.rmdir()


def newest_run(logs: Path = LOGS) -> Path | None:
    """The run folder whose checkpoint was written last, if there is one."""
    return newest_of(*logs.glob("*"))


def newest_of(*folders: Path) -> Path | None:
    """The same among run folders and folders of a recipe's runs."""
    runs = (run for folder in folders for run in (folder, *folder.glob("version_*")))
    times: list[tuple[float, Path]] = []
    for run in runs:
        for file in run.glob("checkpoints/*.ckpt"):
            with contextlib.suppress(OSError):  # it is being replaced
                times.append((file.stat().st_mtime, run))
    return max(times)[1] if times else None


def run_dir_of(path: str | Path) -> Path | None:
    """The run folder that a folder or a checkpoint file is, or lies in.

    A folder that has lost its config.yaml is still one, by what else ``fit`` leaves there.
    """
    path = Path(path).expanduser()
    folder = path.parent.parent if path.parent.name == "checkpoints" and not path.is_dir() else path
    if (folder / "config.yaml").is_file() or (folder / RUN_FILE).is_file():
        return folder
    return folder if (folder / "checkpoints").is_dir() and any(folder.glob("events.out.tfevents.*")) else None


def lies_in(run_dir: Path, places: Iterable[str | Path]) -> bool:
    """Whether a run folder lies where the user keeps runs; a link in such a place that leads elsewhere does not."""
    return any(run_dir.resolve().is_relative_to(Path(place).expanduser().resolve()) for place in places)


def refuse_links(run_dir: Path) -> None:
    """Refuse a run folder of somebody else's with links in it: a command would write to where they lead.

    Raises:
        UserError: naming the first one.
    """
    for folder, folders, files in os.walk(run_dir):
        for name in (*folders, *files):
            if (path := Path(folder, name)).is_symlink():
                raise UserError(
                    f"{path} is a link, and the run folder is not where you keep runs: nothing is written through it."
                    " Copy the checkpoint file elsewhere and use that one."
                )


def mark_run(run_dir: Path) -> str:
    """Give a run folder an identity, which its checkpoints carry; return it, or the one that it has."""
    known = run_id_of(run_dir)
    if known is None:
        known = uuid.uuid4().hex
        with replacing(run_dir / RUN_FILE) as file:
            file.write((json.dumps({"run": known}) + "\n").encode())
    return known


def run_id_of(run_dir: Path) -> str | None:
    """The identity of a run folder; ``None`` if it has none, as those of version 0.1."""
    try:
        content = json.loads(read_bounded(run_dir / RUN_FILE, MAX_RUN_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    run = content.get("run") if isinstance(content, dict) else None
    return run if isinstance(run, str) else None


def newest_run_hint() -> str:
    """What to add to an error that there is no such run."""
    run = newest_run()
    return f" Your newest run: {run}" if run else " There are no runs here yet: fashion-lightning fit"
