"""A run knows where it came from: name, note, command line, commit, versions, machine; and how it went on."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from fashion_lightning.runs import origin
from fashion_lightning.runs.folder import RUN_FILE, mark_run, run_id_of
from fashion_lightning.runs.origin import MOST_CONTINUED, git_state, read_origin, record_origin
from tests.conftest import Run

RUN = Path("tensorboard_logs/tiny/version_0")


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


def test_a_run_tells_its_name_note_command_versions_and_machine(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, "--name", "first try", "--note=with a shift of 2", "--data.shift", "2")
    told = read_origin(RUN)
    assert (told["name"], told["note"]) == ("first try", "with a shift of 2")
    shift = "--name 'first try' '--note=with a shift of 2' --data.shift 2"
    assert told["command"] == f"fashion-lightning fit --config {recipe} {shift}"
    assert told["started"].endswith("+00:00")
    assert told["versions"]["torch"] == torch.__version__
    assert told["versions"].keys() == {"python", "torch", "torchvision", "lightning", "fashion-lightning"}
    assert told["machine"].keys() == {"processor", "cores", "threads", "memory_gb", "gpu"}
    assert (told["machine"]["cores"], told["machine"]["threads"]) == (os.cpu_count(), 1)
    assert "continued" not in told


def test_the_commit_of_the_working_folder_is_told_and_what_changed_since(
    cli: Run, recipe: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "git_state", git_state)
    cli("fit", "--config", recipe)
    commit = git("rev-parse", "HEAD")
    assert read_origin(RUN)["git"] == {"repository": str(repository), "commit": commit, "state": "clean"}
    Path("file.txt").write_text("another")
    assert git_state(repository / "tensorboard_logs")["state"] == "1 file changed"


def test_without_git_or_a_commit_a_run_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_state(tmp_path) == {}
    git("init", "--quiet")
    assert git_state(tmp_path) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == {}


def test_no_program_of_a_repositorys_config_is_started(repository: Path) -> None:
    git("config", "core.fsmonitor", "touch started; false")
    assert git_state(repository)["state"] == "clean"
    assert not Path("started").exists()


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
        record_origin(tmp_path, {"command": "\u00fc" * 2000, "started": str(step)}, step)
    assert (tmp_path / RUN_FILE).stat().st_size <= 64 * 1024
    assert [part["after_steps"] for part in read_origin(tmp_path)["continued"]] == list(range(60 - MOST_CONTINUED, 60))
    assert run_id_of(tmp_path) == run_id


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"run": "a"}',
        '{"origin": 3, "continued": 4}',
        '{"origin": {"name": ["a"], "git": "x", "machine": {"cores": {"deep": {}}}}, "continued": [1, {"name": {}}]}',
        '{"origin": ' * 50_000,
    ],
)
def test_a_damaged_file_tells_nothing_and_does_no_harm(tmp_path: Path, content: str) -> None:
    (tmp_path / RUN_FILE).write_text(content)
    assert read_origin(tmp_path).keys() <= {"machine", "continued"}


def test_what_is_read_is_short_and_can_be_shown(tmp_path: Path) -> None:
    hostile = {"name": "\x1b[31mred\n\n", "note": "long" * 10_000, "machine": {"cores": float("nan")}}
    (tmp_path / RUN_FILE).write_text(json.dumps({"run": "a", "origin": hostile}))
    told = read_origin(tmp_path)
    assert told["name"] == r"\x1b[31mred"
    assert len(told["note"]) == 500
    assert told["machine"] == {"cores": "nan"}


def test_a_fit_goes_on_where_its_origin_cannot_be_written(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(origin, "replacing", full)
    cli("fit", "--config", recipe, "--trainer.max_epochs", "1")
    assert read_origin(RUN) == {}
    assert (RUN / "fit.json").is_file()


@pytest.mark.parametrize("label", ["", " ", "two\nlines", "\x1b[31m", "x" * 501])
def test_a_name_or_note_is_one_line_that_can_be_shown(cli: Run, recipe: Path, label: str) -> None:
    for flag in ("--name", "--note"):
        printed = cli("fit", "--config", recipe, flag, label, exits=2)
        assert f"error: {flag} needs one line of 1 to" in printed
