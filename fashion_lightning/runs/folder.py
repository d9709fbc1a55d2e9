"""Run folders: one folder a run, made and found.

tensorboard_logs/<recipe>/version_N/
    config.yaml            every setting of the run
    checkpoints/best.ckpt  best on the validation images
    checkpoints/last.ckpt  to continue from
    events.out.tfevents.*  for TensorBoard
    fit.json               what the fit ended with
    test_best.json         what `test` measured
"""

from pathlib import Path

from fashion_lightning.errors import UserError

LOGS = Path("tensorboard_logs")


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


def run_dir_of(path: str | Path) -> Path | None:
    """The run folder that a folder or a checkpoint file is, or lies in."""
    path = Path(path).expanduser()
    folder = path.parent.parent if path.parent.name == "checkpoints" and not path.is_dir() else path
    return folder if (folder / "config.yaml").is_file() else None


def newest_run_hint() -> str:
    """What to add to an error that there is no such run."""
    run = newest_run()
    return f" Your newest run: {run}" if run else " There are no runs here yet: fashion-lightning fit"
