"""A run knows where it came from: name, note, command line, commit, versions, machine; and how it went on."""

import os
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import MAX_JSON_BYTES
from fashion_lightning.runs import origin
from fashion_lightning.runs.folder import RUN_FILE, mark_run, run_id_of
from fashion_lightning.runs.origin import MOST_CONTINUED, check_label, git_state, read_origin, record_origin
from tests.conftest import RUN, Run


def git(*arguments: str) -> str:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, encoding="utf-8").stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The working folder as a git repository with one file."""
    git("init", "--quiet")
    Path("file.txt").write_text("one")
    git("add", "file.txt")
    git("commit", "--quiet", "--message", "first")
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_a_run_tells_its_name_note_command_commit_versions_and_machine(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "git_state", git_state)
    cli("fit", "--config", recipe, "--name", "first try", "--note=with a shift of 2", "--data.shift", "2")
    told = read_origin(RUN)
    assert (told["name"], told["note"]) == ("first try", "with a shift of 2")
    shift = "--name 'first try' '--note=with a shift of 2' --data.shift 2"
    assert told["command"] == f"fashion-lightning fit --config {recipe} {shift}"
    assert told["started"].endswith("+00:00")
    assert told["git"] == {"commit": git("rev-parse", "HEAD"), "state": "clean"}
    assert told["versions"]["torch"] == torch.__version__
    assert told["versions"].keys() == {"python", "torch", "torchvision", "lightning", "fashion-lightning"}
    assert (told["machine"]["cores"], told["machine"]["threads"]) == (os.cpu_count(), 1)
    assert "continued" not in told


def test_the_state_of_a_repository_starts_no_program_of_its_config(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("config", "core.fsmonitor", "touch started; false")
    git("tag", "-a", "v1", "-m", "a tag")
    Path("file.txt").write_text("another")
    assert git_state(repository) == {"commit": git("rev-parse", "HEAD"), "state": "changed"}
    assert not Path("started").exists()
    (empty := repository / "empty").mkdir()
    git("init", "--quiet", str(empty))  # has no commit
    assert git_state(empty) == {}
    monkeypatch.setenv("PATH", str(empty))
    assert git_state(repository) == {}


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_its_origin_and_adds_how(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, "--name", "old", "--trainer.max_epochs", "1")
    before, run_id = read_origin(RUN), run_id_of(RUN)
    cli("fit", "--ckpt_path", RUN, "--trainer.max_epochs", "2", "--note", "longer")
    told = read_origin(RUN)
    (again,) = told.pop("continued")
    assert told == before
    assert (again["after_steps"], again["note"]) == (10, "longer")
    cli("fit", "--ckpt_path", RUN, "--trainer.max_epochs", "3", "--name", "new")
    assert read_origin(RUN)["name"] == "new"
    assert run_id_of(RUN) == run_id


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    run_id = mark_run(tmp_path)
    record_origin(tmp_path, {"command": "x" * 2000})
    for step in range(60):
        record_origin(tmp_path, {"command": "\U0001f45f" * 2000, "started": str(step)}, step)
    assert (tmp_path / RUN_FILE).stat().st_size <= MAX_JSON_BYTES
    assert [part["after_steps"] for part in read_origin(tmp_path)["continued"]] == list(range(60 - MOST_CONTINUED, 60))
    assert run_id_of(tmp_path) == run_id


@pytest.mark.parametrize("content", ["", "[1]", '{"origin": 3}', '{"origin": ' * 50_000])
def test_a_damaged_file_tells_nothing_and_does_no_harm(tmp_path: Path, content: str) -> None:
    (tmp_path / RUN_FILE).write_text(content)
    assert read_origin(tmp_path) == {}


def test_a_fit_goes_on_where_its_origin_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "write_json", Mock(side_effect=OSError(28, "No space left on device")))
    record_origin(tmp_path, {"name": "first"})
    assert read_origin(tmp_path) == {}


@pytest.mark.parametrize("label", ["", " ", "two\nlines", "\x1b[31m", "x" * 501])
def test_a_name_or_note_is_one_line_that_can_be_shown(label: str) -> None:
    with pytest.raises(UserError, match="--note needs one line of 1 to 500 printable"):
        check_label("--note", label, 500)
