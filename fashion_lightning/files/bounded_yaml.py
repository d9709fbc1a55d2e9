"""Read YAML, JSON and other small files within bounds."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

from fashion_lightning.errors import UserError

MAX_BYTES = 256 * 1024

MAX_JSON_BYTES = 16 * 1024 * 1024
"""The confusion matrix of 1,000 classes takes 10 MB."""


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain values.

    Raises:
        UserError: it is not a regular file, too large, or not valid YAML.
        OSError: it cannot be opened.
    """
    return parse_yaml(read_bounded(path, MAX_BYTES), str(path))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; empty if it is missing or damaged."""
    try:
        content = json.loads(read_bounded(path, MAX_JSON_BYTES))
    except (OSError, UserError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def read_bounded(path: Path, most: int) -> bytes:
    """Read a regular file of at most ``most`` bytes; never blocks, as opening a pipe would.

    Raises:
        UserError: it is not a regular file, or larger.
        OSError: it cannot be opened.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UserError(f"{path} is not a regular file.")
        content = file.read(most + 1)
    if len(content) > most:
        raise UserError(f"{path} is larger than {most // 1024:,} kB, the limit for such a file.")
    return content


def parse_yaml(text: str | bytes, name: str) -> Any:
    """Parse YAML as plain values; ``name`` names the text in errors.

    Raises:
        UserError: it is not valid YAML, names a key twice, or exceeds a bound.
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"{name} is larger than {MAX_BYTES // 1024} kB.")
    try:
        return yaml.load(text, Loader=_Loader)
    except Exception as error:  # of many kinds: a tagged value such as `!!int x` raises what its conversion raises
        problem = " ".join(str(error).replace('in "<byte string>", ', "").split())
        raise UserError(f"{name} is not valid YAML: {problem[:200]}.") from error


class _Loader(yaml.SafeLoader):
    """Loads plain values; refuses duplicate keys, and references, which can expand a kilobyte to a billion values."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            place = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="references (*name) are not supported", problem_mark=place)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"it names {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes repeated values out in full, because the loader refuses references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump_yaml(content: Any) -> str:
    """Return plain values as YAML that ``parse_yaml`` takes."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
