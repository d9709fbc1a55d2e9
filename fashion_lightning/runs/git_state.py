"""The commit that a folder is at, and whether its files are those of the commit."""

import os
import subprocess
from pathlib import Path

TIMEOUT_S = 1.0
"""A repository that takes longer (over a network, say) goes without: no training waits for it."""


def git_state(folder: Path) -> dict[str, str]:
    """Commit and state of the git repository that a folder lies in.

    Files that git does not know do not count: data and runs are such.

    Returns:
        ``{"repository": absolute path, "commit": 40 hex digits, "state": "clean" or "2 files changed"}``; empty
        without a repository, a commit, or git.
    """
    folder = folder.resolve()
    root = next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)
    if root is None:
        return {}
    # Nothing is written (no index.lock in the way of the user's own git), and no program of the repository's config
    # is started.
    options = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(root))
    command = ("git", *options, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=True,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
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
