"""Find a run by name: ``quick`` is the newest run of that recipe."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.runs.folder import LOGS, newest_of, newest_run_hint, run_dir_of
from fashion_lightning.runs.origin import read_origin

FOLDER_OF_RECIPES = "seeds/"
"""A prefix of recipes' names that their folders of runs do not have."""


def find_run(given: str, places: Sequence[str | Path] = (LOGS,)) -> Path:
    """Find what ``--ckpt_path`` names: a path, or else the newest run of a recipe or of a name that ``--name`` gave.

    Args:
        given: run folder, checkpoint file, folder of a recipe's runs (``tensorboard_logs/quick``), recipe
            (``quick``, ``seeds/three_dense``), run below where runs are kept (``quick/version_0``), or a run's own
            name.
        places: where runs are kept.

    Returns:
        A run folder or a file. The caller prints it if it is not ``given`` itself.

    Raises:
        UserError: there is no such run.
    """
    path = Path(given).expanduser()
    if path.is_file() or run_dir_of(path) is not None:
        return path
    for place in places if given else ():
        if run_dir_of(below := Path(place).expanduser() / given) is not None:
            return below
    name = given.removeprefix(FOLDER_OF_RECIPES)
    is_name = "/" not in name and name not in ("", ".", "..")
    if run := newest_of(path) or (_newest_called(name, places) if is_name else None):
        return run
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
    return newest_of(*(run for run in runs if read_origin(run).get("name") == name))


def _folders(places: Sequence[str | Path]) -> Iterator[Path]:
    """Yield the folders of recipes."""
    for place in places:
        yield from sorted(folder for folder in Path(place).expanduser().glob("*") if folder.is_dir())
