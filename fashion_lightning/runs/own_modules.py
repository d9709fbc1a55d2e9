"""Import the user's own modules from the working folder, if the user names them."""

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
    """Let Python import from the working folder, after every other place, if a named class lies there.

    ``python -m fashion_lightning`` always does; the ``fashion-lightning`` command does not.

    Args:
        named: import paths that the user typed or has in a config. Not those of a checkpoint: its sender must not
            choose what is imported.
    """
    for package in sorted({path.partition(".")[0] for path in named}):
        is_here = Path(f"{package}.py").is_file() or Path(package).is_dir()
        if is_here and package not in sys.modules and importlib.util.find_spec(package) is None:
            sys.path.append(str(Path.cwd()))
            return
