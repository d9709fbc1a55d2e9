"""The command line as a user meets it: what a fit shows while it runs, and what each command leaves."""

import json
import os
import re
import sys
import time
from pathlib import Path

import pytest
import torch
from lightning import Callback

from fashion_lightning.runs.progress import Progress, read_progress
from tests.conftest import RUN, Run
from tests.interruption import interrupt
from tests.test_tensorboard import curve


def test_each_fit_leaves_a_run_folder_of_its_own_and_says_what_comes_next(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe)
    assert {path.name for path in RUN.iterdir()} >= {"config.yaml", "checkpoints", "fit.json"}
    assert {path.name for path in (RUN / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert f"Best checkpoint   {RUN}/checkpoints/best.ckpt" in printed
    assert f"fashion-lightning test --ckpt_path {RUN}" in printed
    assert "[2, 8, 3, 3]" in printed  # the output shape of a layer for two images
    assert "parameters: 1,628   trainable: 1,592   not trainable: 36" in printed
    figures = json.loads((RUN / "fit.json").read_text())
    assert (figures["epochs"], figures["steps"]) == (2, 20)
    assert re.search(r"^2 epochs in \d+ s$", printed, flags=re.MULTILINE)
    assert "groups.1.6" in cli("fit", "--config", recipe, "--trainer.max_epochs", "1", "--layers")  # all of them
    assert "layers" not in (RUN.with_name("version_1") / "config.yaml").read_text()
    assert [path.name for path in sorted(RUN.parent.iterdir())] == ["version_0", "version_1"]


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_average_is_what_is_saved_tested_and_used(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, f"--trainer.callbacks+={EMA}", "--trainer.callbacks.init_args.decay=0.5")
    content = torch.load(RUN / "checkpoints/best.ckpt", weights_only=True)
    pairs = [(content["state_dict"][name], content["current_model_state"][name]) for name in content["state_dict"]]
    assert any(not torch.equal(average, current) for average, current in pairs)
    cli("validate", "--ckpt_path", RUN)
    measured = json.loads((RUN / "validate_best.json").read_text())
    best = json.loads((RUN / "fit.json").read_text())["best"]
    assert measured["accuracy"] == best["val/accuracy"]
    assert measured["loss"] == pytest.approx(best["val/loss"])


LINE = re.compile(
    r"epoch (?P<epoch>\d+)/(?P<epochs>\d+) +(?P<seconds>[\d,]+\.\d) +(?P<speed>[\d,]+) +(?P<train_loss>\d+\.\d{4})"
    r" +(?P<train_accuracy>\d+\.\d\d) % +(?P<val_loss>\d+\.\d{4}|–) +(?P<val_accuracy>\d+\.\d\d %|–)(?P<best>  best)?$",
    re.MULTILINE,
)


class Slow(Callback):
    """Makes each batch take long enough to be seen."""

    def on_train_batch_start(self, *_: object) -> None:
        time.sleep(0.04)


def test_each_epoch_is_one_line_with_what_tensorboard_shows_of_it(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe, "--trainer.max_epochs", "3", "--trainer.check_val_every_n_epoch", "2")
    assert "\r" not in printed  # no bar where nobody sees it move
    assert "0/?" not in printed
    lines = [match.groupdict() for match in LINE.finditer(printed)]
    assert [(line["epoch"], line["epochs"]) for line in lines] == [("1", "3"), ("2", "3"), ("3", "3")]
    for key, tag in (("train_loss", "train/loss"), ("val_loss", "val/loss")):
        shown = [line[key] for line in lines if line[key] != "–"]
        assert shown == [f"{value:.4f}" for _, value in curve(RUN, tag)]
    assert [line["val_accuracy"] == "–" for line in lines] == [True, False, False]
    assert [bool(line["best"]) for line in lines[:2]] == [False, True]
    assert max(len(line) for line in printed.splitlines() if line.startswith("epoch")) <= 80


@pytest.mark.slow
def test_a_run_that_goes_on_within_an_epoch_says_where(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, *interrupt("train", 1, 3), exits=130)
    assert read_progress(RUN) == Progress(1, 2, 14, "interrupted", os.getpid(), 1)
    printed = cli("fit", "--ckpt_path", RUN, "--trainer.callbacks", "null")
    assert f"Continuing {RUN}/checkpoints/last.ckpt in epoch 2, after 4 batches of it.\n" in printed
    assert [match["epoch"] for match in LINE.finditer(printed)] == ["2"]
    assert "layer" not in printed  # they were shown when the run began
    assert read_progress(RUN) == Progress(2, 2, 20, "finished", os.getpid(), 1)


@pytest.mark.slow
def test_on_a_terminal_a_bar_is_there_while_an_epoch_runs_and_gone_after_it(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    fit = ["fit", "--config", recipe, "--data.batch_size=25", "--epochs=1"]
    printed = cli(*fit, "--trainer.callbacks+=tests.test_cli.Slow")
    plain = re.sub(r"\x1b\[[\d;]*m", "", printed)
    assert re.search(r"\repoch 1/1 +\d+ % .* \d/20  00:0\d left", plain)
    assert re.search(r"left, loss=\d\.\d+, accuracy=\d\.\d+", plain)
    at_the_end = [line.rpartition("\r")[2] for line in plain.split("\n")]
    assert [match["epoch"] for match in map(LINE.match, at_the_end) if match] == ["1"]
    assert not [line for line in at_the_end if "left" in line]


@pytest.mark.parametrize(
    ("began", "asked", "goes_on"),
    [
        (10**6, None, 1),
        pytest.param(2, None, 2, marks=pytest.mark.slow),
        pytest.param(2, "1", 1, marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_with_its_threads_or_says_that_it_does_not(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, began: int, asked: str | None, goes_on: int
) -> None:
    text = (trained / "progress.json").read_text()
    (trained / "progress.json").write_text(text.replace('"threads": 1', f'"threads": {began}'))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    said = f"The run began with {began} threads and goes on with {goes_on} (OMP_NUM_THREADS or the machine"
    assert (said in printed) == (began != goes_on)
    assert f'"threads": {began}\n' in (trained / "progress.json").read_text()  # for the next time


def test_all_images_can_be_trained_on_and_then_the_last_checkpoint_counts(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe, "--data.val_size", "0", "--epochs", "1", "--patience", "1")
    last = RUN / "checkpoints/last.ckpt"
    for said in (
        "0 validation images are too few to choose an epoch by: the last epoch counts",
        "--patience 1 cannot stop this run early (checks of val/loss: 0). Check it more often",
        f"fashion-lightning test --ckpt_path {last}",
    ):
        assert said in printed
    cli("test", "--ckpt_path", last)
    assert "the validation images could not be measured" in (RUN / "test_last.html").read_text()
