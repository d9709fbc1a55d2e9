"""Record a run's origin in its ``run.json``, for people and reports; commands use only the name.

run        the id that its checkpoints contain (``runs/folder.py``)
name, note the latest that the user gave it
origin     name, note, start, command line, commit, versions, machine
continued  the same for each time that the run was continued, and the step
"""

import contextlib
import importlib
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fashion_lightning.files.bounded_yaml import read_json
from fashion_lightning.files.durable import write_json
from fashion_lightning.runs.folder import RUN_FILE
from fashion_lightning.version import __version__

LONGEST_COMMAND = 2000
"""Characters."""

MOST_CONTINUED = 10
"""Only the latest continuations are kept."""

GIT_TIMEOUT_S = 1.0
"""Training does not wait longer for a slow repository, such as one on a network."""


def describe(
    arguments: Sequence[str], name: str = "", note: str = "", gpu: str = "", threads: int = 0
) -> dict[str, Any]:
    """Describe the origin of a command that starts now.

    Args:
        arguments: the command line, without the program.
        name, note: the user's name and note for the run.
        gpu, threads: the GPU's name, empty for a CPU, and the number of torch's threads.
    """
    libraries = {name: importlib.import_module(name).__version__ for name in ("torch", "torchvision", "lightning")}
    origin = {
        "name": name,
        "note": note,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"fashion-lightning {shlex.join(arguments)}"[:LONGEST_COMMAND],
        "git": git_state(Path()),
        "versions": {"python": platform.python_version(), **libraries, "fashion-lightning": __version__},
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "threads": threads, "gpu": gpu},
    }
    return {key: value for key, value in origin.items() if value}


def git_state(folder: Path) -> dict[str, str]:
    """Return the commit of a folder, and whether files that git tracks were changed.

    Returns:
        ``{"commit": 40 hex digits, "state": "clean" or "changed"}``; empty without a commit or git.
    """
    # Write no index.lock, which would disturb the user's git, and start no program that the repository configures.
    command = (
        *("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder)),
        *("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"),
    )
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=GIT_TIMEOUT_S, check=True, text=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):  # no git, or one that refuses this repository
        return {}
    commit, _, changed = done.stdout.strip().partition("-")
    return {"commit": commit, "state": "changed" if changed else "clean"}


def _processor() -> str:
    with contextlib.suppress(OSError):  # on Linux, Python knows only the architecture
        content = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        told = dict(re.findall(r"^(model name|cpu family|model)\s*: (.+)$", content, re.MULTILINE))
        if len(told) == 3:  # processors of one name may differ in vector width
            return f"{told['model name']} (family {told['cpu family']}, model {told['model']})"
    return platform.processor() or platform.machine()


def record_origin(run_dir: Path, origin: dict[str, Any], steps: int = 0) -> None:
    """Record a run's origin, from ``describe``; if it has one, record a continuation after ``steps`` steps.

    Does not raise if the file cannot be written: the first checkpoint will report the problem.
    """
    content = read_json(run_dir / RUN_FILE)
    if "origin" in content:
        content["continued"] = [*content.get("continued", []), {"after_steps": steps, **origin}][-MOST_CONTINUED:]
    else:
        content["origin"] = origin
    content |= {key: origin.get(key) or content.get(key) for key in ("name", "note")}
    with contextlib.suppress(OSError):
        write_json(run_dir / RUN_FILE, content)


def read_origin(run_dir: Path) -> dict[str, Any]:
    """Read a run's origin.

    Returns:
        ``name``, ``note``, ``started`` (ISO 8601, UTC), ``command``; ``git`` (``commit`` and ``state`` of the working
        folder); ``versions``, by library; ``machine`` (``processor``, ``cores``, ``threads``, ``gpu``);
        ``continued``, a list of the same with ``after_steps``. Name and note are the latest. Missing entries are
        left out.
    """
    content = read_json(run_dir / RUN_FILE)
    origin = content["origin"] if isinstance(content.get("origin"), dict) else {}
    return {**origin, **{key: content[key] for key in ("name", "note", "continued") if content.get(key)}}
