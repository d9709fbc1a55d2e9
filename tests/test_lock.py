"""Locks: one process trains a run, and what a process has begun is its own while it lives."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fashion_lightning.errors import UserError
from fashion_lightning.files import lock


def other_process(code: str, path: Path) -> "subprocess.Popen[str]":
    """Start a process that runs code with the functions of ``lock`` on a path, says so, and waits."""
    script = (
        f"import sys, pathlib\nfrom fashion_lightning.files.lock import *\npath = pathlib.Path(sys.argv[1])\n{code}"
    )
    script += "\nprint('done', flush=True)\nsys.stdin.read()"
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", script, path], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def is_free(path: Path) -> bool:
    """Whether nobody holds the ``flock`` of a file or folder; in one process, too, each opening counts on its own."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_a_lock_holds_until_its_process_is_killed(tmp_path: Path) -> None:
    holder = other_process("lock_run(path)", tmp_path)
    with pytest.raises(UserError, match="another process"):
        lock.lock_run(tmp_path)
    holder.kill()
    holder.communicate()
    for _ in range(2):
        lock.lock_run(tmp_path)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_run_is_being_trained_while_another_process_holds_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert not lock.is_being_trained(tmp_path)
    assert not (tmp_path / ".lock").exists()
    holder = other_process("lock_run(path)", tmp_path)
    assert lock.is_being_trained(tmp_path)
    holder.kill()
    holder.communicate()
    assert not lock.is_being_trained(tmp_path)
    lock.lock_run(tmp_path)
    assert not lock.is_being_trained(tmp_path)  # by another process; and asking does not give the lock up
    other = other_process("assert is_being_trained(path) and not lock_for_life(path / '.lock')", tmp_path)
    other.communicate()
    assert other.returncode == 0


def test_one_process_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    with lock.one_at_a_time(tmp_path):
        assert not is_free(tmp_path)
    assert is_free(tmp_path)
