"""The command line as a user meets it: each subcommand, and one clear line for each mistake."""

import csv
import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch

from fashion_lightning.data.classes import CLASS_NAMES
from tests import networks
from tests.conftest import RUN, Run
from tests.test_tensorboard import curve


def test_each_fit_leaves_a_run_folder_of_its_own_and_says_what_comes_next(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe)
    assert {path.name for path in RUN.iterdir()} >= {"config.yaml", "checkpoints", "fit.json"}
    assert {path.name for path in (RUN / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert f"Best checkpoint   {RUN}/checkpoints/best.ckpt" in printed
    assert f"fashion-lightning test --ckpt_path {RUN}" in printed
    assert re.search(r"^epoch 2/2 +\d+\.\d +[\d,]+ +\d\.\d{4} ", printed, flags=re.MULTILINE)
    assert "[2, 8, 3, 3]" in printed  # the output shape of a layer for two images
    assert "parameters: 1,628   trainable: 1,592   not trainable: 36" in printed
    figures = json.loads((RUN / "fit.json").read_text())
    assert (figures["epochs"], figures["steps"]) == (2, 20)
    assert re.search(r"^2 epochs in \d+ s$", printed, flags=re.MULTILINE)
    assert 0 < figures["best"]["val/accuracy"] <= 1
    assert "groups.1.6" in cli("fit", "--config", recipe, "--trainer.max_epochs", "1", "--layers")  # all of them
    assert "layers" not in (RUN.with_name("version_1") / "config.yaml").read_text()
    assert [path.name for path in sorted(RUN.parent.iterdir())] == ["version_0", "version_1"]


def test_test_and_predict_agree_and_report_every_class(cli: Run, trained: Path) -> None:
    cli("test", "--ckpt_path", trained, "--output", "elsewhere/figures")
    assert {path.name for path in Path("elsewhere/figures").iterdir()} == {"test_best.json", "test_best.html"}
    assert not (trained / "test_best.json").exists()
    printed = cli("test", "--ckpt_path", trained)
    cli("predict", "--ckpt_path", trained)
    measured = json.loads((trained / "test_best.json").read_text())
    assert measured["images"] == sum(map(sum, measured["confusion"])) == 100
    assert f"accuracy {100 * measured['accuracy']:.2f} %" in printed
    assert measured["classes"].keys() == set(CLASS_NAMES)
    rows = list(csv.DictReader((trained / "predictions.csv").read_text().splitlines()))
    assert list(rows[0]) == ["image", "class", "label", "correct", *CLASS_NAMES]
    assert [row["image"] for row in rows] == [str(index) for index in range(100)]
    assert [row["label"] for row in rows] == [CLASS_NAMES[index % 10] for index in range(100)]  # of the generated data
    for row in rows:
        probabilities = [float(row[name]) for name in CLASS_NAMES]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert row["class"] == CLASS_NAMES[probabilities.index(max(probabilities))]
        assert row["correct"] == ("true" if row["class"] == row["label"] else "false")
    assert sum(row["correct"] == "true" for row in rows) == round(100 * measured["accuracy"])
    assert -sum(math.log(float(row[row["label"]])) for row in rows) / 100 == pytest.approx(measured["loss"], rel=1e-5)


def test_the_best_epoch_may_be_the_one_with_the_least_loss(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, "--trainer.max_epochs", "4", "--best_checkpoint.monitor", "val/loss")
    values = [value for _, value in curve(RUN, "val/loss")]
    assert json.loads((RUN / "fit.json").read_text())["best"]["val/loss"] == min(values)


def test_a_moved_checkpoint_alone_is_tested_and_used(cli: Run, trained: Path, tmp_path: Path) -> None:
    lone = tmp_path / "elsewhere" / "mine.ckpt"
    lone.parent.mkdir()
    shutil.copy(trained / "checkpoints/last.ckpt", lone)
    shutil.rmtree(trained)
    cli("test", "--ckpt_path", lone)
    cli("predict", "--ckpt_path", lone)
    names = {"mine.ckpt", "test_mine.json", "test_mine.html", "predictions.csv"}
    assert {path.name for path in lone.parent.iterdir()} == names


def test_a_moved_run_folder_keeps_its_recorded_best_checkpoint(cli: Run, trained: Path, tmp_path: Path) -> None:
    """The run goes on with a learning rate that ruins it: the last epoch is worse, the best one stays."""
    moved = trained.rename(tmp_path / "moved")
    best = (moved / "checkpoints/best.ckpt").read_bytes()
    kept = ["--trainer.default_root_dir", tmp_path]
    cli("fit", "--ckpt_path", moved, *kept, "--trainer.max_epochs", "3", "--model.optimizer.init_args.bias_lr=1e4")
    assert (moved / "checkpoints/best.ckpt").read_bytes() == best
    assert not Path("tensorboard_logs/tiny").exists() or not list(Path("tensorboard_logs/tiny").iterdir())
    fit = json.loads((moved / "fit.json").read_text())
    assert fit["best"]["epoch"] < 2
    cli("validate", "--ckpt_path", moved, *kept)
    figures = json.loads((moved / "validate_best.json").read_text())
    assert figures["accuracy"] == fit["best"]["val/accuracy"]
    assert figures["loss"] == pytest.approx(fit["best"]["val/loss"])


def test_a_fault_in_a_users_network_is_one_line_with_its_place_and_a_traceback_if_wanted(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: networks.Linear, images: torch.Tensor) -> torch.Tensor:
        if torch.is_inference_mode_enabled():
            raise ValueError("by design")
        return torch.zeros(len(images), 10)

    cli("fit", "--config", recipe, "--model.network", "tests.networks.Linear")
    monkeypatch.setattr(networks.Linear, "forward", fails)
    printed = cli("predict", "--ckpt_path", RUN, exits=2)
    assert f"error: `predict` failed: ValueError: by design ({__file__}, line " in printed
    assert "Traceback" not in printed
    monkeypatch.setenv("FASHION_LIGHTNING_DEBUG", "1")
    printed = cli("predict", "--ckpt_path", RUN, exits=2)
    assert "Traceback (most recent call last)" in printed
    assert 'raise ValueError("by design")' in printed
