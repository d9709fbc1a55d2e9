"""Make, identify and find run folders, one for each run.

tensorboard_logs/<recipe>/version_N/
    run.json               the run's id, which its checkpoints contain, and its origin
    config.yaml            all settings of the run
    checkpoints/best.ckpt  the best checkpoint on the validation images
    checkpoints/last.ckpt  the checkpoint to continue from
    events.out.tfevents.*  curves and plots for TensorBoard
    progress.json          the fit's current epoch and state, for other processes
    fit.json               the fit's results
    test_best.json         the results of `test`
    test_best.html         the same results as a page
    predictions.csv        the predictions of `predict` for the test images
"""

import contextlib
import difflib
import itertools
import shlex
import shutil
import uuid
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import read_json
from fashion_lightning.files.durable import write_json

LOGS = Path("tensorboard_logs")

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
"""Weights in this package, each under the name of the recipe that trained them (docs/checkpoints.md)."""

FOLDER_OF_RECIPES = "seeds/"
"""A prefix of recipe names that run folders do not have."""

RUN_DIR = "FASHION_LIGHTNING_RUN_DIR"
"""Environment variable by which ``repeat`` and ``sweep`` choose the folder of a new run."""

RUN_FILE = "run.json"


def new_run_dir(logs: Path, name: str) -> Path:
    """Create and return ``logs/name/version_N``, where N is the next free number, even if two processes ask at once.

    Raises:
        UserError: the folder cannot be made.
    """
    folder = logs / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = [int(run_dir.name[8:]) for run_dir in versions(folder)] or [-1]
        for version in itertools.count(taken[-1] + 1):
            with contextlib.suppress(FileExistsError):
                (folder / f"version_{version}").mkdir()
                break
    except OSError as error:
        raise UserError(
            f"No run folder can be made in {folder.absolute()} ({error.strerror}). Name another place with --runs."
        ) from error
    return folder / f"version_{version}"


def versions(folder: Path) -> list[Path]:
    """Return the run folders of a recipe, sorted by number."""
    runs = (run for run in folder.glob("version_*") if run.name[8:].isdecimal() and run.is_dir())
    return sorted(runs, key=lambda run: int(run.name[8:]))


def clear_begun(run_dir: Path) -> None:
    """Empty the folder of a run that was killed before its first checkpoint; keep this process's lock.

    Raises:
        UserError: the run has a checkpoint.
    """
    if any(run_dir.glob("checkpoints/*.ckpt")):
        raise UserError(f"{run_dir} holds a run already; continue it with --ckpt_path {as_typed(run_dir)}.")
    for path in run_dir.iterdir():
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def discard_run(run_dir: Path) -> None:
    """Remove the folder of a run that failed before its first checkpoint, and its parents if they are empty."""
    shutil.rmtree(run_dir, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty: it has other runs
        run_dir.parent.rmdir()
        if run_dir.parent.parent.name == LOGS.name:  # a folder of another name may be the user's
            run_dir.parent.parent.rmdir()


def newest_of(*folders: Path) -> Path | None:
    """Return the newest run among run folders and folders of runs, by its checkpoints' times."""
    runs = (run for folder in folders for run in (folder, *versions(folder)))
    times: list[tuple[float, Path]] = []
    for file in (file for run in runs for file in run.glob("checkpoints/*.ckpt")):
        with contextlib.suppress(OSError):  # it is being replaced
            times.append((file.stat().st_mtime, file.parent.parent))
    return max(times)[1] if times else None


def run_dir_of(path: str | Path) -> Path | None:
    """Return the run folder at ``path``, or that of the checkpoint file at ``path``; ``None`` if there is none."""
    path = Path(path).expanduser()
    folder = path.parent.parent if path.parent.name == "checkpoints" and not path.is_dir() else path
    return folder if (folder / "config.yaml").is_file() or (folder / RUN_FILE).is_file() else None


def lies_in(run_dir: Path, logs: Path) -> bool:
    """Check whether a run folder lies where the user keeps runs; a symbolic link to elsewhere does not count."""
    return run_dir.resolve().is_relative_to(logs.resolve())


def as_typed(path: Path) -> str:
    """Return what to type after ``--ckpt_path`` for a run folder or a checkpoint, with ``--runs`` if it needs that."""
    run_dir = run_dir_of(path) or path
    elsewhere = [] if lies_in(run_dir, LOGS) else ["--runs", str(run_dir.parent.parent)]
    return shlex.join([str(path), *elsewhere])


def mark_run(run_dir: Path) -> str:
    """Return the id of a run folder, which its checkpoints contain; create one if it is missing."""
    known = run_id_of(run_dir)
    if known is None:
        known = uuid.uuid4().hex
        write_json(run_dir / RUN_FILE, {"run": known})
    return known


def run_id_of(run_dir: Path) -> str | None:
    """Return the id of a run folder; ``None`` if it has none."""
    run = read_json(run_dir / RUN_FILE).get("run")
    return run if isinstance(run, str) else None


def newest_run_hint(logs: Path = LOGS) -> str:
    """Return a hint for errors about a missing run."""
    run = newest_of(*logs.glob("*"))
    return f" Your newest run: {run}" if run else " There are no runs here yet: fashion-lightning fit"


def find_run(given: str, logs: Path = LOGS) -> Path:
    """Find what ``--ckpt_path`` names: a path, or the newest run of a recipe or of a ``--name``.

    For a recipe without runs, find the weights in this package, if there are any.

    Args:
        given: a run folder, a checkpoint file, a folder of a recipe's runs (``tensorboard_logs/quick``), a recipe
            (``quick``, ``seeds/three_dense``), a run folder relative to ``logs`` (``quick/version_0``), or a name
            that ``--name`` gave a run.
        logs: folder of all runs.

    Raises:
        UserError: there is no such run.
    """
    path = Path(given).expanduser()
    for candidate in (path, logs / given):
        if candidate.is_file() or run_dir_of(candidate) is not None:
            return candidate
    name = given.removeprefix(FOLDER_OF_RECIPES)
    is_name = "/" not in name and name not in ("", ".", "..")
    called = (
        run
        for recipe in logs.glob("*")
        for run in versions(recipe)
        if read_json(run / RUN_FILE).get("name") in (given, name)
    )
    if run := newest_of(path) or (newest_of(logs / name) if is_name else None) or newest_of(*called):
        return run
    if is_name and (ours := WEIGHTS / f"{name}.safetensors").is_file():
        return ours
    if path.exists():
        return path  # its reader reports what is wrong with it
    close = difflib.get_close_matches(name, {folder.name for folder in logs.glob("*") if newest_of(folder)}, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise UserError(f"There is no run folder or checkpoint at {given}{hint}.{newest_run_hint(logs)}")
