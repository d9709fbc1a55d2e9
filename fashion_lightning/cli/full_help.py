"""``--help_all``: every setting as jsonargparse describes it, with the classes that are meant for it first."""

import re
from argparse import Action

from jsonargparse import DefaultHelpFormatter

from fashion_lightning.short_names import MODULES


class FullHelp(DefaultHelpFormatter):
    """Lists this package's classes, then those of torch's that checkpoints may name, then only counts the others.

    Stock jsonargparse lists every subclass that any library has: for a network, 650 of them torch's quantized ones.
    """

    def _get_help_string(self, action: Action) -> str:
        text = super()._get_help_string(action)
        return re.sub(r"known subclasses: ([^()]*)", lambda known: _shortened(known[1].split(", ")), text)


def _shortened(paths: list[str]) -> str:
    parts = MODULES.values()
    # jsonargparse names a class by the shortest path that has it.
    listed = [(module, name) for part in parts for module, names in part for name in names]
    meant = {(module.split(".")[0], name): f"{module}.{name}" for module, name in listed}
    known = [meant.get((path.split(".")[0], path.rpartition(".")[2])) for path in paths]
    named = sorted(dict.fromkeys(filter(None, known)), key=lambda path: not path.startswith("fashion_lightning."))
    shown = named or paths[:MOST]
    rest = len(paths) - len(shown)
    return f"for example {', '.join(shown)}{f' and {rest} more, by class path' if rest else ''}"


MOST = 8
"""Of classes that are not on the list."""
