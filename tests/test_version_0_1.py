"""What version 0.1 left behind still works: this run folder was written by it, interrupted after 16 of 30 steps."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from fashion_lightning import load_classifier
from tests.conftest import Run

RUN = Path("tensorboard_logs/tiny/version_0")


@pytest.fixture
def old_run(recipe: Path) -> Path:
    """The run folder, in a working folder whose ``data`` are the generated ones."""
    shutil.copytree(Path(__file__).parent / "data/version_0.1", recipe.parent / RUN)
    return RUN


def test_it_is_continued_in_place_with_each_point_once(cli: Run, old_run: Path) -> None:
    from tests.test_tensorboard import raw_points

    printed = cli("fit", "--ckpt_path", old_run)
    assert "version_0/checkpoints/last.ckpt in epoch 2, after " in printed
    report = json.loads((old_run / "fit.json").read_text())
    assert (report["epochs"], report["steps"]) == (3, 30)
    assert raw_points(old_run)["val/accuracy"] == [9, 19, 29]


@pytest.mark.parametrize("place", ["run folder", "checkpoint alone"])
def test_it_is_tested_and_used(cli: Run, old_run: Path, place: str) -> None:
    path = old_run if place == "run folder" else shutil.copy(old_run / "checkpoints/best.ckpt", "mine.ckpt")
    cli("test", "--ckpt_path", path)
    cli("predict", "--ckpt_path", path)
    report = (old_run if place == "run folder" else Path()) / f"test_{'best' if place == 'run folder' else 'mine'}.json"
    assert json.loads(report.read_text())["images"] == 100
    assert load_classifier(path).network is not None


def test_its_config_is_a_recipe(cli: Run, old_run: Path) -> None:
    assert "ckpt_path" in yaml.safe_load((old_run / "config.yaml").read_text())  # two flags that are none any more
    cli("fit", "--config", old_run / "config.yaml", "--trainer.max_epochs", "1")
    assert (Path("tensorboard_logs/config/version_0") / "fit.json").is_file()
