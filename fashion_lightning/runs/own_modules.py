"""Modules of the user's own, in the working folder: found where the user has named them, and only then."""

import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
"""``package.module.Class``"""


def import_paths(settings: Any) -> set[str]:
    """The import paths among the values of settings."""
    if isinstance(settings, str):
        return set(IMPORT_PATH.findall(settings))
    parts = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    return set().union(*map(import_paths, parts))


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
