"""Find the package's recipes and presets by name, and config files by path."""

import difflib
import re
from itertools import takewhile
from pathlib import Path

from fashion_lightning.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]

# An installed package contains the recipes. A `configs` beside it, in site-packages, may belong to another package.
RECIPES = next((path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir()), _PACKAGE)
"""The recipes of an installed package, or of the checkout."""

DEFAULT_RECIPE = "cnn"

EXPERIMENTS = (RECIPES / "presets/find_lr.yaml", RECIPES / "presets/profile.yaml")
"""Presets whose runs are experiments; the names of their run folders include the preset's name."""


def names() -> list[str]:
    """Return the names that ``--config`` takes: ``cnn``, ``seeds/three_dense``, ``presets/debug`` and so on."""
    return sorted(path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.yaml"))


def head(name: str) -> tuple[str, str, str]:
    """Read a recipe's cost and accuracy from its first comment, the only place that has them.

    Returns:
        The cost, as ``49 s on two CPU cores``, and the test accuracy, as ``93.41 ± 0.12 %``, each empty if it was not
        measured; and a description of the recipe.
    """
    lines = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    comment = " ".join(
        line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines[1:])
    )
    cost = re.search(r"[\d,]+ s on \w+ CPU cores?", comment)
    accuracy = re.search(r"test accuracy ([\d.]+(?: ± [\d.]+)? %)", comment)
    about = re.split(r"\.(?: |$)|; |, (?:with|and) | beside ", comment)[0]
    return cost[0] if cost else "", accuracy[1] if accuracy else "", about


def find_config(given: str) -> Path:
    """Find the file that ``--config`` names: a path, or else a recipe or preset of this package.

    A file takes precedence over a recipe of the same name; a folder does not.

    Raises:
        UserError: it is neither a file nor a recipe or preset.
    """
    path, known = Path(given).expanduser(), names()
    if path.exists() and not path.is_dir():
        return path
    if given in known:
        return RECIPES / f"{given}.yaml"
    close = [f"{given}.yaml"] if Path(f"{given}.yaml").is_file() else difflib.get_close_matches(given, known, n=1)
    raise UserError(
        f"There is no config file {given}{f' (did you mean {close[0]}?)' if close else ''}; the recipes and presets"
        f" are: {', '.join(known)}."
    )
