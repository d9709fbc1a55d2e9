"""Modules of the user's own, in the working folder: found where the user has named them, and only then."""

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path


def look_in_working_folder(named: Iterable[str]) -> None:
    """Let Python import from the working folder too, behind every other place, if a class that was named lies there.

    ``python -m fashion_lightning`` always does; the ``fashion-lightning`` command does not.

    Args:
        named: import paths that the user has typed, or that stand in a config of the user's. Not those of a
            checkpoint: whoever sends one must not choose what is imported.
    """
    for package in sorted({path.partition(".")[0] for path in named}):
        is_here = Path(f"{package}.py").is_file() or Path(package).is_dir()
        if is_here and package not in sys.modules and importlib.util.find_spec(package) is None:
            sys.path.append(str(Path.cwd()))
            return
