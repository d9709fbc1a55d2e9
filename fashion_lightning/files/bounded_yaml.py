"""YAML that anybody may have written: read within bounds, before anything is made of it.

YAML's references let a kilobyte stand for a billion values, and a file may be a pipe that never ends.
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
"""A reference counts as all that it stands for."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML's own parser in C, the faster one, where it was built with it."""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file as plain values.

    Raises:
        UserError: it is no regular file, too large, or not valid YAML.
        OSError: it cannot be opened.
    """
    return parse_yaml(read_bounded(path, MAX_BYTES), str(path))


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a regular file of at most so many bytes; never waits, as opening a pipe would.

    Raises:
        UserError: it is something else than a regular file, or larger.
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
    """The same of a text that was read already.

    Args:
        text: YAML; bytes in UTF-8.
        name: of its place, for errors.

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
    """What is wrong, as the end of a sentence."""


class _Collection:
    """A mapping or sequence that is being read."""

    def __init__(self, event: yaml.CollectionStartEvent, values_before: int) -> None:
        self.anchor, self.values_before = event.anchor, values_before
        self.keys: set[str] | None = set() if isinstance(event, yaml.MappingStartEvent) else None
        self.expects_key = self.keys is not None

    def add(self, event: yaml.Event) -> None:
        """Take the next key or value."""
        if self.keys is None:
            return
        if self.expects_key and isinstance(event, yaml.ScalarEvent):
            if event.value in self.keys:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise _OutOfBounds(f"names {event.value[:80]!r} twice (line {line})")
            self.keys.add(event.value)
        self.expects_key = not self.expects_key


def _check(events: Iterable[yaml.Event]) -> None:
    """Count values and depth from the stream of events, in which nothing is expanded yet."""
    values = 0
    open_ones: list[_Collection] = []
    sizes: dict[str, int] = {}  # of what has a name, once it is complete
    for event in events:
        if isinstance(event, yaml.NodeEvent) and open_ones:
            open_ones[-1].add(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _OutOfBounds(f"holds a reference *{str(event.anchor)[:40]} to itself or to nothing")
            values += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_ones.append(_Collection(event, values))
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            done = open_ones.pop()
            if done.anchor:
                sizes[done.anchor] = values - done.values_before
        if len(open_ones) > MAX_DEPTH:
            raise _OutOfBounds(f"is nested more than {MAX_DEPTH} levels deep")
        if values > MAX_VALUES:
            raise _OutOfBounds(f"stands for more than {MAX_VALUES:,} values")
