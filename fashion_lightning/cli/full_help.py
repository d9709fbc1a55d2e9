"""``--help_all``: every setting as jsonargparse describes it, with the classes that are meant for it."""

import re
from argparse import Action

from jsonargparse import DefaultHelpFormatter

from fashion_lightning.short_names import MODULES

SHORT = [f"{module}.{name}" for part in MODULES.values() for module, names in part for name in names]
"""Classes with a short name, this package's first in each part of a config."""

MOST = 8
"""Classes that are shown where none has a short name."""


class FullHelp(DefaultHelpFormatter):
    """Lists the classes that have a short name, and only counts the others.

    Stock jsonargparse lists every subclass that any library has: for a network, 650 of them torch's quantized ones.
    """

    def _get_help_string(self, action: Action) -> str:
        return re.sub(r"known subclasses: ([^()]*)", _shortened, super()._get_help_string(action))


def _shortened(known: re.Match[str]) -> str:
    paths = known[1].split(", ")
    names = {path.rpartition(".")[2] for path in paths}
    shown = [path for path in SHORT if path.rpartition(".")[2] in names] or paths[:MOST]
    rest = len(paths) - len(shown)
    return f"for example {', '.join(shown)}{f' and {rest} more, by class path' if rest else ''}"
