"""Run folders: one folder for each run, made, told apart and found by name.

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
import difflib
import itertools
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import read_json
from fashion_lightning.files.durable import write_json

LOGS = Path("tensorboard_logs")

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
"""Weights that come with the package, each under the name of the recipe that trained them (docs/checkpoints.md)."""

FOLDER_OF_RECIPES = "seeds/"
"""A prefix of recipes' names that their folders of runs do not have."""

RUN_NUMBER = "FASHION_LIGHTNING_RUN_NUMBER"
"""Environment variable by which ``sweep`` chooses the number of a new run."""

RUN_FILE = "run.json"


def new_run_dir(logs: Path, name: str, number: str | None = None) -> Path:
    """Create and return ``logs/name/version_N``.

    N is ``number``, whose folder may exist, or else the next free one, also if two processes ask at once.

    Raises:
        UserError: the folder cannot be made.
    """
    folder = logs / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = [int(run_dir.name[8:]) for run_dir in versions(folder)] or [-1]
        for version in itertools.count(taken[-1] + 1) if number is None else [number]:
            with contextlib.suppress(FileExistsError):
                (folder / f"version_{version}").mkdir(exist_ok=number is not None)
                break
    except OSError as error:
        raise UserError(
            f"No run folder can be made in {folder.absolute()} ({error.strerror}). Name another place with"
            " --trainer.default_root_dir."
        ) from error
    return folder / f"version_{version}"


def versions(folder: Path) -> list[Path]:
    """List the run folders of a recipe by number."""
    runs = (run for run in folder.glob("version_*") if run.name[8:].isdigit() and run.is_dir())
    return sorted(runs, key=lambda run: int(run.name[8:]))


def clear_begun(run_dir: Path) -> None:
    """Remove what a run left that was killed before its first checkpoint; its folder is locked.

    Raises:
        UserError: it has a checkpoint.
    """
    if any(run_dir.glob("checkpoints/*.ckpt")):
        raise UserError(f"{run_dir} holds a run already; continue it with --ckpt_path {run_dir}.")
    for path in run_dir.iterdir():
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def discard_run(run_dir: Path) -> None:
    """Remove the folder of a run that failed before its first checkpoint, and empty folders above it."""
    shutil.rmtree(run_dir, ignore_errors=True)
    with contextlib.suppress(OSError):  # other runs are there
        run_dir.parent.rmdir()
        if run_dir.parent.parent.name == LOGS.name:  # any other place was there before
            run_dir.parent.parent.rmdir()


def newest_of(*folders: Path) -> Path | None:
    """The newest run among run folders and folders of a recipe's runs."""
    runs = (run for folder in folders for run in (folder, *folder.glob("version_*")))
    times: list[tuple[float, Path]] = []
    for file in (file for run in runs for file in run.glob("checkpoints/*.ckpt")):
        with contextlib.suppress(OSError):  # it is being replaced
            times.append((file.stat().st_mtime, file.parent.parent))
    return max(times)[1] if times else None


def run_dir_of(path: str | Path) -> Path | None:
    """The run folder that is given, or in which a checkpoint file lies."""
    path = Path(path).expanduser()
    folder = path.parent.parent if path.parent.name == "checkpoints" and not path.is_dir() else path
    return folder if (folder / "config.yaml").is_file() or (folder / RUN_FILE).is_file() else None


def lies_in(run_dir: Path, places: Iterable[str | Path]) -> bool:
    """Whether a run folder lies where the user keeps runs; a link there that leads elsewhere does not count."""
    return any(run_dir.resolve().is_relative_to(Path(place).expanduser().resolve()) for place in places)


def mark_run(run_dir: Path) -> str:
    """Return the identity of a run folder, which its checkpoints carry; give it one if it has none."""
    known = run_id_of(run_dir)
    if known is None:
        known = uuid.uuid4().hex
        write_json(run_dir / RUN_FILE, {"run": known})
    return known


def run_id_of(run_dir: Path) -> str | None:
    """The identity of a run folder; ``None`` if it has none."""
    run = read_json(run_dir / RUN_FILE).get("run")
    return run if isinstance(run, str) else None


def newest_run_hint() -> str:
    """A sentence to add to the error that a run does not exist."""
    run = newest_of(*LOGS.glob("*"))
    return f" Your newest run: {run}" if run else " There are no runs here yet: fashion-lightning fit"


def find_run(given: str, places: Sequence[str | Path] = (LOGS,)) -> Path:
    """Find what ``--ckpt_path`` names: a path, or the newest run of a recipe or of a name that ``--name`` gave.

    A recipe that has no run yet stands for the weights that come with the package, if there are any.

    Args:
        given: run folder, checkpoint file, folder of a recipe's runs (``tensorboard_logs/quick``), recipe
            (``quick``, ``seeds/three_dense``), run below where runs are kept (``quick/version_0``), or a run's own
            name.
        places: where runs are kept.

    Raises:
        UserError: there is no such run.
    """
    path = Path(given).expanduser()
    for candidate in (path, *(Path(place).expanduser() / given for place in places)):
        if candidate.is_file() or run_dir_of(candidate) is not None:
            return candidate
    name = given.removeprefix(FOLDER_OF_RECIPES)
    is_name = "/" not in name and name not in ("", ".", "..")
    if run := newest_of(path) or (_newest_called(name, places) if is_name else None):
        return run
    if is_name and (ours := WEIGHTS / f"{name}.safetensors").is_file():
        return ours
    if path.exists():
        return path  # the reader will say what it lacks
    close = difflib.get_close_matches(name, {folder.name for folder in _folders(places) if newest_of(folder)}, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise UserError(f"There is no run folder or checkpoint at {given}{hint}.{newest_run_hint()}")


def _newest_called(name: str, places: Sequence[str | Path]) -> Path | None:
    """Find the newest run of a recipe, in the first place that has any; else the newest with this ``--name``."""
    for folder in _folders(places):
        if folder.name == name and (run := newest_of(folder)) is not None:
            return run
    runs = (run for folder in _folders(places) for run in folder.glob("version_*"))
    return newest_of(*(run for run in runs if read_json(run / RUN_FILE).get("name") == name))


def _folders(places: Sequence[str | Path]) -> Iterator[Path]:
    """Yield the folders of recipes."""
    for place in places:
        yield from sorted(folder for folder in Path(place).expanduser().glob("*") if folder.is_dir())
