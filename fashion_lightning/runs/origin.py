"""Where a run comes from, in its folder's ``run.json``: for people and reports; nothing depends on it.

run        the identity that its checkpoints carry (``runs/folder.py``)
origin     name, note, start, command line, commit, versions, machine
continued  the same for each time that the run went on, and the step
"""

import contextlib
import json
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.durable import replacing
from fashion_lightning.runs.folder import RUN_FILE, read_run_file
from fashion_lightning.version import __version__

LONGEST_NAME, LONGEST_NOTE, LONGEST_COMMAND = 60, 500, 2000
"""Characters."""

MOST_CONTINUED = 10
"""The latest are kept."""

MAPPINGS = ("git", "package", "versions", "machine")

GIT_TIMEOUT_S = 1.0
"""A training does not wait for a slow repository, such as one on a network."""


def describe(
    arguments: Sequence[str], name: str = "", note: str = "", gpu: str = "", threads: int = 0
) -> dict[str, Any]:
    """Describe a fit that begins now.

    Args:
        arguments: as they were typed, without the program.
        name: the user's name for the run.
        note: the user's note.
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


def git_state(folder: Path) -> dict[str, str]:
    """Ask git for the commit and state of the repository that a folder lies in. Files unknown to git do not count.

    Returns:
        ``{"repository": absolute path, "commit": 40 hex digits, "state": "clean" or "2 files changed"}``; empty
        without a repository, a commit, or git.
    """
    folder = folder.resolve()
    root = next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)
    if root is None:
        return {}
    # Write nothing (no index.lock in the way of the user's own git), and start no program of the repository's config.
    options = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(root))
    command = ("git", *options, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=GIT_TIMEOUT_S, check=True, env=quiet
        )
    except (OSError, subprocess.SubprocessError):  # no git, or one that refuses this repository
        return {}
    lines = done.stdout.decode(errors="replace").splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if commit == "(initial)":
        return {}
    changed = sum(not line.startswith("#") for line in lines)
    state = f"{changed} file{'' if changed == 1 else 's'} changed" if changed else "clean"
    return {"repository": str(root), "commit": commit, "state": state}


def _versions() -> dict[str, str]:
    import lightning
    import torch
    import torchvision

    libraries = {module.__name__: str(module.__version__) for module in (torch, torchvision, lightning)}
    return {"python": platform.python_version(), **libraries, "fashion-lightning": __version__}


def _processor() -> str:
    with contextlib.suppress(OSError):  # Linux, where Python itself knows only the architecture
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float:
    """The machine's memory in units of 1024³ bytes."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, OSError, ValueError):  # not on Windows
        return 0.0


def check_label(flag: str, text: str, longest: int) -> str:
    """Return a run's name or note if it is one printable line.

    Raises:
        UserError: it is not.
    """
    if text.strip() and text.isprintable() and len(text) <= longest:
        return text.strip()
    raise UserError(f"{flag} needs one line of 1 to {longest} printable characters after it, not {text[:40]!r}.")


def record_origin(run_dir: Path, origin: dict[str, Any], went_on_after: int | None = None) -> None:
    """Record where a run comes from, or how it goes on.

    Training does not end if this cannot be written: the first checkpoint will report the problem.

    Args:
        run_dir: a folder with an identity (``mark_run``).
        origin: from ``describe``.
        went_on_after: optimizer steps; ``None`` for a new run.
    """
    content = read_run_file(run_dir)
    if "run" not in content:  # the file cannot be read, and is left as it is
        return
    if went_on_after is None:
        content["origin"] = origin
    else:
        again = [*content.get("continued", []), {"after_steps": went_on_after, **origin}]
        content["continued"] = again[-MOST_CONTINUED:]
    # A file name may hold half of a character, which is no text.
    text = json.dumps(content, indent=1, ensure_ascii=False).encode(errors="backslashreplace")
    with contextlib.suppress(OSError), replacing(run_dir / RUN_FILE) as file:
        file.write(text + b"\n")


def read_origin(run_dir: Path) -> dict[str, Any]:
    """Read where a run comes from.

    Returns:
        ``name``, ``note``, ``started`` (ISO 8601, UTC), ``command``; ``git`` (of the working folder) and ``package``
        (of this package's checkout, if that is another one), each with ``repository``, ``commit`` and ``state``;
        ``versions``, by library; ``machine`` (``processor``, ``cores``, ``threads``, ``memory_gb``, ``gpu``);
        ``continued``, a list of the same with ``after_steps``. The latest name counts. What is missing or damaged is
        left out; text is short and printable.
    """
    content = read_run_file(run_dir)
    origin = _printable(content.get("origin"))
    continued = content.get("continued")
    again = [_printable(part) for part in (continued if isinstance(continued, list) else [])[-MOST_CONTINUED:]]
    names = [part["name"] for part in again if "name" in part]
    origin |= {"continued": again} if again else {}
    return origin | ({"name": names[-1]} if names else {})


def _short(value: Any) -> str | int | float:
    """A number as it is, anything else as short printable text."""
    return value if isinstance(value, int | float) and abs(value) < 2**53 else one_line(str(value))[:500]


def _printable(part: Any) -> dict[str, Any]:
    """Keep short printable text, numbers, and mappings where they belong."""
    kept: dict[str, Any] = {}
    for key, value in part.items() if isinstance(part, dict) else ():
        if key in MAPPINGS and isinstance(value, dict):
            kept[key] = {one_line(name)[:100]: _short(item) for name, item in value.items()}
        elif key == "after_steps" and isinstance(value, int):
            kept[key] = value
        elif key in ("name", "note", "started", "command") and isinstance(value, str):
            kept[key] = one_line(value)[:LONGEST_NOTE]
    return kept
