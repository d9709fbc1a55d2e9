"""Run folders: made, found and told apart; and where each run came from."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from fashion_lightning import classify
from fashion_lightning.cli.parser import parse
from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import MAX_JSON_BYTES
from fashion_lightning.runs import folder, origin
from fashion_lightning.runs.folder import RUN_FILE, find_run, mark_run, run_id_of
from fashion_lightning.runs.origin import MOST_CONTINUED, git_state, read_origin, record_origin
from tests.conftest import RUN, Run


def write(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def test_a_new_run_gets_the_next_number(tmp_path: Path) -> None:
    logs = tmp_path / "of_a_user" / "logs"
    write(logs / "tiny/version_of_mine/x", logs / "tiny/version_9/x", logs / "tiny/version_²/x")
    assert [folder.new_run_dir(logs, "tiny").name for _ in range(2)] == ["version_10", "version_11"]
    write(logs / "file")
    with pytest.raises(UserError, match="No run folder can be made"):
        folder.new_run_dir(logs, "file")


def test_what_a_run_left_before_its_first_checkpoint_is_cleared_but_for_its_lock(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    run = tmp_path / "run"
    write(run / ".lock", run / "config.yaml", run / "embedding" / "points", elsewhere / "kept")
    (run / "link").symlink_to(elsewhere)
    folder.clear_begun(run)
    assert [path.name for path in run.iterdir()] == [".lock"]
    assert (elsewhere / "kept").exists()
    write(run / "checkpoints" / "last.ckpt")
    with pytest.raises(UserError, match="holds a run already"):
        folder.clear_begun(run)


@pytest.mark.parametrize(("logs", "stays"), [("tensorboard_logs", "."), ("mine", "mine")])
def test_a_run_that_failed_leaves_no_empty_folders(tmp_path: Path, logs: str, stays: str) -> None:
    first, second = (folder.new_run_dir(tmp_path / logs, "tiny") for _ in range(2))
    write(first / "config.yaml")
    folder.discard_run(first)
    assert second.exists()
    assert not first.exists()
    folder.discard_run(second)
    assert not (tmp_path / logs / "tiny").exists()
    assert [path.name for path in tmp_path.iterdir()] == ([] if stays == "." else [stays])


def test_the_newest_run_is_the_one_whose_checkpoint_was_written_last(tmp_path: Path) -> None:
    assert folder.newest_run_hint() == " There are no runs here yet: fashion-lightning fit"
    logs = tmp_path / "tensorboard_logs"  # in the working folder
    for age, run in enumerate(("b/version_2", "a/version_9", "b/version_10")):
        write(checkpoint := logs / run / "checkpoints" / "best.ckpt")
        os.utime(checkpoint, (1000 - age, 1000 - age))
    assert folder.newest_of(*logs.glob("*")) == logs / "b/version_2"
    assert folder.newest_of(logs / "a/version_9", logs / "b/version_10") == logs / "a/version_9"
    assert folder.newest_run_hint() == " Your newest run: tensorboard_logs/b/version_2"


@pytest.mark.parametrize(
    ("files", "is_run"),
    [
        (["config.yaml"], True),
        (["run.json"], True),
        (["checkpoints/last.ckpt"], False),
        (["last.ckpt"], False),
    ],
)
def test_a_run_folder_is_known_by_what_fit_leaves_in_it(tmp_path: Path, files: list[str], is_run: bool) -> None:
    run = tmp_path / "run"
    write(*(run / file for file in files), run / "checkpoints_of_mine" / "best.ckpt")
    assert folder.run_dir_of(str(run)) == (run if is_run else None)
    assert folder.run_dir_of(run / "checkpoints" / "best.ckpt") == (run if is_run else None)
    assert folder.run_dir_of(run / "checkpoints_of_mine" / "best.ckpt") is None
    assert folder.run_dir_of(run / "checkpoints") is None


def test_a_link_out_of_a_place_does_not_lie_in_it(tmp_path: Path) -> None:
    (inside := tmp_path / "logs" / "run").mkdir(parents=True)
    (tmp_path / "logs" / "link").symlink_to(tmp_path)
    assert folder.lies_in(inside, tmp_path / "logs")
    assert not folder.lies_in(tmp_path / "logs" / "link", tmp_path / "logs")
    assert not folder.lies_in(inside, Path("nowhere"))


def test_a_run_keeps_the_identity_that_it_was_given(tmp_path: Path) -> None:
    assert folder.run_id_of(tmp_path) is None
    known = folder.mark_run(tmp_path)
    assert folder.mark_run(tmp_path) == folder.run_id_of(tmp_path) == known
    for content in ("", "[1]", '{"run": 3}', "[" * 100_000, '{"run": "' + "a" * MAX_JSON_BYTES + '"}'):
        (tmp_path / folder.RUN_FILE).write_text(content)
        assert folder.run_id_of(tmp_path) is None


LOGS = Path("tensorboard_logs")


def make_run(folder: Path, written: int) -> Path:
    """A run folder with a checkpoint that was written at that second."""
    write(folder / "config.yaml", folder / "checkpoints/last.ckpt")
    os.utime(folder / "checkpoints/last.ckpt", (written, written))
    return folder


@pytest.fixture
def runs() -> dict[str, Path]:
    """Two runs of quick, the first continued last, and a copy; one of a recipe in seeds/; one elsewhere."""
    found = {
        "newest": make_run(LOGS / "quick/version_0", 3000),
        "older": make_run(LOGS / "quick/version_1", 2000),
        "copy": make_run(LOGS / "quick/version_0_backup", 5000),
        "seed": make_run(LOGS / "three_dense/version_0", 4000),
        "elsewhere": make_run(Path("elsewhere/accurate/version_0"), 9000),
    }
    (found["older"] / "run.json").write_text('{"run": "a", "name": "first try"}')
    return found


@pytest.mark.parametrize(
    ("given", "logs", "found"),
    [
        *((given, LOGS, "newest") for given in ("quick", "tensorboard_logs/quick", "./tensorboard_logs/quick/")),
        *((given, LOGS, "seed") for given in ("three_dense", "seeds/three_dense")),
        ("accurate", Path("elsewhere"), "elsewhere"),
        ("first try", LOGS, "older"),
    ],
)
def test_a_recipe_is_its_newest_run(runs: dict[str, Path], given: str, logs: Path, found: str) -> None:
    assert find_run(given, logs) == runs[found]


def test_a_path_is_itself(runs: dict[str, Path]) -> None:
    for path in (runs["older"], runs["older"] / "checkpoints/last.ckpt"):
        assert find_run(str(path)) == path
    make_run(Path("quick"), 0)  # a folder of that name wins if it is a run
    assert find_run("quick") == Path("quick")


def test_a_recipe_without_a_run_is_the_weights_that_come_with_the_package(cli: Run, data: Path) -> None:
    printed = cli("predict", "--ckpt_path", "cnn", "--data.root", data)
    assert "cnn: no run yet, so the weights that come with the package" in printed
    assert Path("predictions.csv").is_file()  # not in the package
    assert "None of these folders holds the results of a run" in cli("compare", "cnn", exits=2)
    own = make_run(LOGS / "cnn/version_0", 0)
    assert find_run("cnn") == own


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("given", ["downloads/quick", "/quick", "quik", "accurate", "tensorboard_logs/quick/version_7"])
def test_a_path_that_is_not_there_is_no_run_of_that_name(given: str) -> None:
    with pytest.raises(UserError) as raised:
        find_run(given)
    hint = " (did you mean quick?)" if given in ("quik", "/quick") else ""
    newest = "Your newest run: tensorboard_logs/three_dense/version_0"
    assert str(raised.value) == f"There is no run folder or checkpoint at {given}{hint}. {newest}"


@pytest.mark.slow
def test_every_command_takes_a_name_where_runs_lie_and_says_which_run_it_took(cli: Run, recipe: Path) -> None:
    """Without ``--runs``, a run elsewhere counts as somebody's file, and its network would have to be named."""
    place, run = ["--runs", "my runs"], Path("my runs/Linear/version_0")
    printed = cli("fit", "--config", recipe, "--network=tests.networks.Linear", *place)
    for next_command in re.findall(r"fashion-lightning (.*)", printed):
        assert f"Report: {run}/test_best.html" in cli(*shlex.split(next_command))
    assert "If you keep runs there: --ckpt_path 'my runs/Linear" in cli("test", "--ckpt_path", run, exits=2)
    for command in (["test"], ["validate"], ["predict"], ["fit", "--epochs=3"]):
        printed = cli(*command, "--ckpt_path", "Linear", *place)
        assert printed.startswith(f"Linear: its newest run, {run} (Linear, 2 of 2 epochs, finished)\n")
    export = ("export", "--ckpt_path", "Linear", "--output", "linear.safetensors")
    for typed, told in (
        (export, f"those of {run}"),
        (("list",), "Linear/version_0"),
        (("compare", "Linear"), "Linear"),
    ):
        assert told in cli(*typed, *place)
    assert not LOGS.exists()


def test_compare_and_python_take_names_too(cli: Run, trained: Path) -> None:
    record_origin(trained, {"name": "first try"})
    assert "does not exist" not in cli("compare", "first try", "tiny/version_0")
    images = torch.zeros(2, 28, 28, dtype=torch.uint8)
    for name in ("tiny", "first try"):
        assert torch.equal(classify(name, images)[1], classify(trained, images)[1])


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
    assert told == {**before, "note": "longer"}
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
    with pytest.raises(UserError, match="--note: needs one line of 1 to 500 printable"):
        parse("fit", ["--note", label])
