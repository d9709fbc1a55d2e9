"""YAML read within bounds.

References let a kilobyte of YAML stand for a billion values, and a file may be a pipe that never ends.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from fashion_lightning.errors import UserError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 30
MAX_VALUES = 20_000
"""A reference counts as many values as it stands for."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C where PyYAML was built with it."""


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain values.

    Raises:
        UserError: it is no regular file, too large, or not valid YAML.
        OSError: it cannot be opened.
    """
    return parse_yaml(read_bounded(path, MAX_BYTES), str(path))


def read_bounded(path: Path, most: int) -> bytes:
    """Read a regular file of at most ``most`` bytes; does not wait, as opening a pipe would.

    Raises:
        UserError: it is not a regular file, or larger.
        OSError: it cannot be opened.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UserError(f"{path} is not a regular file.")
        content = file.read(most + 1)
    if len(content) > most:
        raise UserError(f"{path} is larger than {most // 1024:,} kB, the most that is read of such a file.")
    return content


def parse_yaml(text: str | bytes, name: str) -> Any:
    """Parse YAML as plain values.

    Args:
        text: YAML; bytes in UTF-8.
        name: names the text in errors.

    Raises:
        UserError: it is not valid YAML, names a key twice, or exceeds a bound.
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"{name} is larger than {MAX_BYTES // 1024} kB.")
    try:
        _check(yaml.parse(text, Loader=LOADER))
        return yaml.load(text, Loader=LOADER)  # a safe loader: plain values only
    except _OutOfBounds as error:
        raise UserError(f"{name} {error}.") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that is none
        advice = " It is indented with spaces, not with tabs." if "cannot start any token" in str(error) else ""
        problem = " ".join(str(error).replace('in "<byte string>", ', "").split())
        raise UserError(f"{name} is not valid YAML: {problem[:200]}.{advice}") from error


class _OutOfBounds(Exception):
    """Says what is wrong, as the end of a sentence."""


def _check(events: Iterable[yaml.Event]) -> None:
    """Check depth, number of values and keys in the stream of events, in which no reference is expanded yet."""
    values = 0
    starts: list[tuple[str | None, int]] = []  # of open collections: name, values before it
    keys: list[list[Any] | None] = []  # of open mappings: the keys so far, and whether a key is next
    sizes: dict[str, int] = {}  # of complete collections that have a name
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            keys.pop()
            name, before = starts.pop()
            if name:
                sizes[name] = values - before
        if not isinstance(event, yaml.NodeEvent):
            continue
        if keys and keys[-1] is not None:
            seen, is_key = keys[-1]
            keys[-1][1] = not is_key
            if is_key and isinstance(event, yaml.ScalarEvent):
                if event.value in seen:
                    line = event.start_mark.line + 1 if event.start_mark else 0
                    raise _OutOfBounds(f"names {event.value[:80]!r} twice (line {line})")
                seen.add(event.value)
        if isinstance(event, yaml.AliasEvent) and event.anchor not in sizes:
            raise _OutOfBounds(f"holds a reference *{str(event.anchor)[:40]} to itself, to a word or to nothing")
        values += sizes[str(event.anchor)] if isinstance(event, yaml.AliasEvent) else 1
        if isinstance(event, yaml.CollectionStartEvent):
            starts.append((event.anchor, values - 1))
            keys.append([set(), True] if isinstance(event, yaml.MappingStartEvent) else None)
        if len(starts) > MAX_DEPTH:
            raise _OutOfBounds(f"is nested more than {MAX_DEPTH} levels deep")
        if values > MAX_VALUES:
            raise _OutOfBounds(f"stands for more than {MAX_VALUES:,} values")
