"""``--ckpt_path`` takes the name of a recipe or of a run as well as a path, and says which run it took."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from fashion_lightning import classify
from fashion_lightning.errors import UserError
from fashion_lightning.runs.folder import find_run
from fashion_lightning.runs.origin import record_origin
from tests.conftest import Run

LOGS = Path("tensorboard_logs")


def make_run(folder: Path, written: int) -> Path:
    """A run folder with a checkpoint that was written at that second."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").touch()
    (folder / "checkpoints/last.ckpt").touch()
    os.utime(folder / "checkpoints/last.ckpt", (written, written))
    return folder


@pytest.fixture
def runs() -> dict[str, Path]:
    """Two runs of quick, of which the first was continued last; one of a seed's recipe; one elsewhere."""
    return {
        "newest": make_run(LOGS / "quick/version_0", 3000),
        "older": make_run(LOGS / "quick/version_1", 2000),
        "seed": make_run(LOGS / "three_dense/version_0", 4000),
        "elsewhere": make_run(Path("elsewhere/accurate/version_0"), 9000),
    }


@pytest.mark.parametrize("given", ["quick", "tensorboard_logs/quick", "./tensorboard_logs/quick/"])
def test_a_recipe_is_its_newest_run(runs: dict[str, Path], given: str) -> None:
    assert find_run(given) == runs["newest"]


@pytest.mark.parametrize("given", ["three_dense", "seeds/three_dense"])
def test_a_seeds_recipe_goes_by_both_its_names(runs: dict[str, Path], given: str) -> None:
    assert find_run(given) == runs["seed"]


def test_a_path_is_itself(runs: dict[str, Path]) -> None:
    for path in (runs["older"], runs["older"] / "checkpoints/last.ckpt"):
        assert find_run(str(path)) == path
    make_run(Path("quick"), 0)  # a folder of that name wins if it is a run
    assert find_run("quick") == Path("quick")


def test_a_run_goes_by_the_name_that_it_was_given(runs: dict[str, Path]) -> None:
    (runs["older"] / "run.json").write_text('{"run": "a", "name": "first try"}')
    assert find_run("first try") == runs["older"]


def test_runs_are_found_where_they_are_kept(runs: dict[str, Path]) -> None:
    assert find_run("accurate", ["elsewhere", LOGS]) == runs["elsewhere"]
    with pytest.raises(UserError):
        find_run("accurate")


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("given", ["downloads/quick", "/quick", "quik", "tensorboard_logs/quick/version_7"])
def test_a_path_that_is_not_there_is_no_run_of_that_name(given: str) -> None:
    with pytest.raises(UserError) as raised:
        find_run(given)
    hint = " (did you mean quick?)" if given in ("quik", "/quick") else ""
    newest = "Your newest run: tensorboard_logs/three_dense/version_0"
    assert str(raised.value) == f"There is no run folder or checkpoint at {given}{hint}. {newest}"


@pytest.mark.slow
def test_every_command_takes_a_name_and_says_which_run_it_took(cli: Run, trained: Path) -> None:
    shutil.copytree(trained, trained.with_name("version_1"))
    os.utime(trained.with_name("version_1") / "checkpoints/last.ckpt", (1, 1))
    os.utime(trained.with_name("version_1") / "checkpoints/best.ckpt", (1, 1))
    for command in (["test"], ["validate"], ["predict"], ["fit", "--trainer.max_epochs=3"]):
        printed = cli(*command, "--ckpt_path", "tiny")
        assert printed.startswith(f"tiny: its newest run, {trained}\n")
    assert (trained / "test_best.json").is_file()


def test_compare_and_python_take_names_too(cli: Run, trained: Path) -> None:
    record_origin(trained, {"name": "first try"})
    assert "does not exist" not in cli("compare", "first try", "tiny/version_0")
    images = torch.zeros(2, 28, 28, dtype=torch.uint8)
    for name in ("tiny", "first try"):
        assert torch.equal(classify(name, images)[1], classify(trained, images)[1])
