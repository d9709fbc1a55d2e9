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
    """Return the import paths among the values of settings."""
    if isinstance(settings, str):
        return set(IMPORT_PATH.findall(settings))
    parts = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    return set().union(*map(import_paths, parts))


def look_in_working_folder(named: Iterable[str]) -> None:
    """Add the working folder to the end of Python's import path if it contains the module of a named class.

    ``python -m fashion_lightning`` always imports from there; the ``fashion-lightning`` command does not.

    Args:
        named: import paths that the user typed or has in a config; never those of a checkpoint from a stranger, who
            must not choose what is imported.
    """
    packages = {path.partition(".")[0] for path in named} - sys.modules.keys()
    here = (name for name in packages if Path(f"{name}.py").is_file() or Path(name).is_dir())
    if any(importlib.util.find_spec(name) is None for name in here):
        sys.path.append(str(Path.cwd()))
