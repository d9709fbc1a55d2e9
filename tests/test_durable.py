"""Files that are whole or not there, locks, and the newest checkpoint that can be read."""

import contextlib
import errno
import fcntl
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from fashion_lightning.callbacks.checkpoints import DurableCheckpointIO
from fashion_lightning.errors import UserError
from fashion_lightning.files import lock
from fashion_lightning.files.durable import output_file, replacing, write_output
from tests.conftest import RUN, Run
from tests.interruption import wait_for

STUCK = ["--early_stopping.patience", "1", "--early_stopping.min_delta", "100"]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("stage", ["writing", "syncing", "renaming"])
def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    path = tmp_path / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"step": 1}, path)
    monkeypatch.setattr(
        *{"writing": (torch, "save"), "syncing": (os, "fsync"), "renaming": (os, "replace")}[stage], full
    )
    with pytest.raises(UserError, match=r"last.ckpt cannot be written \(No space left on device\)"):
        DurableCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as failed, replacing(tmp_path / "fit.json"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert failed.value.filename == str(tmp_path / "fit.json")


def test_a_real_write_that_fails_is_told_by_what_the_system_said(tmp_path: Path) -> None:
    """A limit on the size of files: torch turns the system's answer into a RuntimeError of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(UserError, match="cannot be written \\(File too large\\)"):
            DurableCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, tmp_path / "last.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_nothing_is_in_place_before_it_is_whole_and_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, calls = tmp_path / "a.txt", mock.Mock()
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, mock.Mock(wraps=getattr(os, name)))
        calls.attach_mock(getattr(os, name), name)
    with replacing(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert [name for name, *_ in calls.mock_calls] == [
        "fsync",
        "replace",
        "fsync",
    ]  # the file, its new name, the folder


@pytest.mark.parametrize(("number", "fails"), [(errno.EINVAL, False), (errno.EBADF, False), (errno.EIO, True)])
def test_a_file_system_that_syncs_no_folders_is_taken_and_a_failing_disk_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fails: bool
) -> None:
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    expected = pytest.raises(OSError, match="error") if fails else contextlib.nullcontext()
    with expected, replacing(tmp_path / "fit.json") as file:
        file.write(b"whole")
    assert (tmp_path / "fit.json").read_bytes() == b"whole"


def test_two_processes_may_write_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "test_best.json"
    with replacing(path) as first:
        first.write(b"first")
        with replacing(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["test_best.json"]


@pytest.mark.parametrize("then", ["an interruption", "a training"])
def test_a_run_folder_that_is_deleted_meanwhile_is_one_line(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    def delete(*_: object) -> None:
        shutil.rmtree(RUN, ignore_errors=True)
        if then == "an interruption":
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("fashion_lightning.callbacks.exact_resume.ReseedEachStep.on_train_batch_start", delete)
    printed = cli("fit", "--config", recipe, exits=2)
    (line,) = [line for line in printed.splitlines() if "error: " in line]
    assert str(RUN) in line
    assert "Traceback" not in printed
    assert not RUN.exists()


def test_a_full_disk_stops_a_fit_and_the_last_good_checkpoint_is_named(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (trained / "checkpoints/last.ckpt").read_bytes()
    monkeypatch.setattr(torch, "save", full)
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3", exits=2)
    assert "cannot be written (No space left on device)" in printed
    assert f"The last good checkpoint: {trained}/checkpoints/last.ckpt" in printed
    assert (trained / "checkpoints/last.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        pytest.param([], [0, 10], marks=pytest.mark.slow),
        (["--last_checkpoint.every_n_steps", "4"], [0, 4, 8, 10]),
        pytest.param(["--last_checkpoint.every_n_minutes", "0.0000001"], [*range(10), 10], marks=pytest.mark.slow),
        pytest.param(
            ["--last_checkpoint.every_n_steps", "4", "--trainer.accumulate_grad_batches", "2"],
            [0, 4, 5],
            marks=pytest.mark.slow,
        ),
        # The second validation asks for the end, which Lightning puts off to the end of the first epoch.
        (["--trainer.min_steps", "8", "--trainer.val_check_interval", "0.3", *STUCK], [0, 10]),
    ],
)
def test_the_last_checkpoint_is_written_at_the_start_when_it_is_time_and_after_each_epoch(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], steps: list[int]
) -> None:
    saved: list[int] = []
    save = DurableCheckpointIO.save_checkpoint

    def spy(self: DurableCheckpointIO, checkpoint: dict[str, int], path: str, storage_options: object = None) -> None:
        if Path(path).name == "last.ckpt":
            saved.append(checkpoint["global_step"])
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(DurableCheckpointIO, "save_checkpoint", spy)
    cli("fit", "--config", recipe, "--trainer.max_epochs", "1", *options)
    assert saved == steps


@pytest.mark.slow
def test_a_run_killed_in_its_first_epoch_goes_on_from_its_start(
    cli: Run, recipe: Path, command_on_generated_data: list[str]
) -> None:
    command = [*command_on_generated_data, "fit", "--config", str(recipe), "--trainer.max_epochs", "10000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for((RUN / "checkpoints/last.ckpt").exists, process)
    refused = cli("fit", "--ckpt_path", RUN, exits=2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert refused == (
        f"error: {RUN} is being trained by another process. Wait for it, stop it, or start another run:"
        " fashion-lightning fit\n"
    )
    cli("fit", "--ckpt_path", RUN, "--trainer.max_epochs", "2")  # nothing is left of the lock


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
    """Check that nobody holds the ``flock`` of a file or folder; each opening counts, also within one process."""
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
    assert stat.S_IMODE((tmp_path / ".lock").stat().st_mode) == 0o644  # other users may ask
    with mock.patch.object(fcntl, "lockf", None if platform == "linux" else fcntl.lockf):  # Linux asks without locking
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


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (" ", "needs the name of a file, not of a folder, pipe or device: ' '"),
        ("kept/new", "needs the name of a file, not of a folder"),
        ("kept/pipe.csv", "needs the name of a file, not of a folder, pipe or device"),
        ("kept/a.xlsx", "must end in .csv or .json, not 'a.xlsx'"),
        ("kept/taken.csv/a.csv", "cannot be written: no file can be created in .*taken.csv"),
        ("kept/new/er/a.csv", "cannot be written: no file can be created in .*new"),
        ("~nobody_here/a.csv", "cannot be used"),
    ],
)
def test_an_output_is_refused_before_any_work(given: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("kept/new").mkdir(parents=True)
    Path("kept/taken.csv").touch()
    os.mkfifo("kept/pipe.csv")
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.W_OK and Path(path).name != "new")
    for allowed in ("kept/taken.csv", "kept/newer/a.CSV"):
        assert output_file("--output", allowed, ".csv", ".json") == Path(allowed)
    with pytest.raises(UserError, match=f"--output .*{line}"):
        output_file("--output", given, ".csv", ".json")


def test_a_symbolic_link_stays_and_its_file_is_replaced_in_a_folder_that_is_made() -> None:
    write_output(Path("new/target.csv"), b"old")
    Path("link.csv").symlink_to("new/target.csv")
    write_output(Path("link.csv"), b"x")
    assert Path("link.csv").is_symlink()
    assert Path("new/target.csv").read_bytes() == b"x"
