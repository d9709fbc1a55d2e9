"""Where a run comes from, in its folder's ``run.json``: for people, and for reports. Nothing is decided by it.

run        the identity that its checkpoints carry (``runs/folder.py``)
origin     name, note, start, command line, commit, versions, machine
continued  the same of each time that it went on: the step, and what had changed
"""

import contextlib
import json
import math
import os
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.bounded_yaml import read_bounded
from fashion_lightning.files.durable import replacing
from fashion_lightning.runs.folder import MAX_RUN_FILE_BYTES, RUN_FILE
from fashion_lightning.runs.git_state import git_state
from fashion_lightning.version import __version__

LONGEST_NAME, LONGEST_NOTE, LONGEST_COMMAND = 60, 500, 2000
"""Characters."""

MOST_CONTINUED = 20
"""Of a run that went on more often, the latest are kept."""

SHOWN = 500
"""Characters of one value, at most, of what is read: a run folder may come from anybody."""

CHANGING = ("git", "package", "versions", "machine")
"""What is told of a run that went on only where it differs from before."""


def describe(
    arguments: Sequence[str], name: str = "", note: str = "", gpu: str = "", threads: int = 0
) -> dict[str, Any]:
    """Where a fit that begins now comes from.

    Args:
        arguments: as they were typed, without the program.
        name: that the user has given the run.
        note: the same.
        gpu: the name of the device it trains on; empty for a CPU.
        threads: that torch computes with.
    """
    here, package = git_state(Path()), git_state(Path(__file__).parent)
    origin = {
        "name": name,
        "note": note,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"fashion-lightning {shlex.join(arguments)}"[:LONGEST_COMMAND],
        "git": here,
        "package": {} if package == here else package,
        "versions": _versions(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count() or 0,
            "threads": threads,
            "memory_gb": _memory_gb(),
            "gpu": gpu,
        },
    }
    return {key: value for key, value in origin.items() if value}


def _versions() -> dict[str, str]:
    import lightning
    import torch
    import torchvision

    libraries = {module.__name__: str(module.__version__) for module in (torch, torchvision, lightning)}
    return {"python": platform.python_version(), **libraries, "fashion-lightning": __version__}


def _processor() -> str:
    with contextlib.suppress(OSError):  # Linux; Python itself knows only the architecture there
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float:
    """Of the machine, in units of 1024³ bytes."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, OSError, ValueError):  # not on Windows
        return 0.0


def check_label(flag: str, text: str, longest: int) -> str:
    """Return what the user calls a run or notes of it, if it is one line that can be shown.

    Raises:
        UserError: it is not.
    """
    if text.strip() and text.isprintable() and len(text) <= longest:
        return text.strip()
    raise UserError(f"{flag} needs one line of 1 to {longest} printable characters after it, not {text[:40]!r}.")


def record_origin(run_dir: Path, origin: dict[str, Any], went_on_after: int | None = None) -> None:
    """Write down where a run comes from; of one that goes on, what has changed since.

    A training does not end because this cannot be written: the first checkpoint will say so.

    Args:
        run_dir: which has been marked (``runs/folder.py``).
        origin: of ``describe``.
        went_on_after: optimizer steps; ``None`` for a new run.
    """
    content = _content(run_dir)
    if "run" not in content:  # the file cannot be read, and is left as it is
        return
    if went_on_after is None:
        content["origin"] = origin
    else:
        continued = content.get("continued")
        continued = [*(continued if isinstance(continued, list) else []), origin][-MOST_CONTINUED:]
        before: dict[str, Any] = {}
        for earlier in (content.get("origin"), *continued[:-1]):
            before |= earlier if isinstance(earlier, dict) else {}
        changed = {key: value for key, value in origin.items() if key not in CHANGING or value != before.get(key)}
        content["continued"] = [*continued[:-1], {"after_steps": went_on_after, **changed}]
        while len(_encoded(content)) > MAX_RUN_FILE_BYTES and content["continued"]:
            del content["continued"][0]
    with contextlib.suppress(OSError), replacing(run_dir / RUN_FILE) as file:
        file.write(_encoded(content))


def _encoded(content: dict[str, Any]) -> bytes:
    # Half of a character, as a file name may hold, is no text.
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def read_origin(run_dir: Path) -> dict[str, Any]:
    """Where the run in a folder comes from.

    Returns:
        Plain values, which a terminal can show: ``name``, ``note``, ``started`` (ISO 8601, UTC), ``command``; ``git``
        (of the working folder) and ``package`` (of this package's checkout, if that is another one), each with
        ``repository``, ``commit`` and ``state``; ``versions``, by library; ``machine`` (``processor``, ``cores``,
        ``threads``, ``memory_gb``, ``gpu``); ``continued``, a list of the same with ``after_steps``. The latest name
        counts. Any of them may be missing: all of a run of version 0.1, or of a file that is damaged.
    """
    content = _content(run_dir)
    origin = _plain(content.get("origin"), depth=2)
    origin = origin if isinstance(origin, dict) else {}
    continued = content.get("continued")
    again = [_plain(part, depth=2) for part in (continued if isinstance(continued, list) else [])[-MOST_CONTINUED:]]
    origin["continued"] = [part for part in again if isinstance(part, dict)]
    for part in origin["continued"]:
        if part.get("name"):
            origin["name"] = part["name"]
    for key, kind in (("name", str), ("note", str), ("started", str), ("command", str)):
        if not isinstance(origin.get(key, ""), kind):
            del origin[key]
    for key in CHANGING:
        if not isinstance(origin.get(key, {}), dict):
            del origin[key]
    return {key: value for key, value in origin.items() if value}


def _content(run_dir: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_bounded(run_dir / RUN_FILE, MAX_RUN_FILE_BYTES))
    except (OSError, UserError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _plain(value: Any, depth: int) -> Any:
    """Text in one line, finite numbers and mappings of them; anything else becomes nothing."""
    if isinstance(value, str):
        line = one_line(value)
        return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if abs(value) < 2**53 and math.isfinite(value) else 0
    if isinstance(value, dict) and depth:
        return {one_line(str(key))[:SHOWN]: _plain(item, depth - 1) for key, item in list(value.items())[:SHOWN]}
    return ""
