"""The command line as a user meets it: each subcommand, and what it leaves."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

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


EMA = "fashion_lightning.callbacks.weight_averaging.WeightEMA"


def test_the_average_is_what_is_saved_tested_and_used(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, f"--trainer.callbacks+={EMA}", "--trainer.callbacks.init_args.decay=0.5")
    run = Path("tensorboard_logs/tiny/version_0")
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    pairs = [(content["state_dict"][name], content["current_model_state"][name]) for name in content["state_dict"]]
    assert any(not torch.equal(average, current) for average, current in pairs)
    cli("validate", "--ckpt_path", run)
    measured = json.loads((run / "validate_best.json").read_text())
    best = json.loads((run / "fit.json").read_text())["best"]
    assert measured["accuracy"] == best["val/accuracy"]
    assert measured["loss"] == pytest.approx(best["val/loss"])
