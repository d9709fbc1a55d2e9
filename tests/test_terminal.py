"""What a fit and a test show while they run: in a pipe, in a notebook and on a terminal."""

import re
import sys
import time
from pathlib import Path

import pytest
from lightning import Callback

from tests.conftest import RUN, Run
from tests.interruption import interrupt
from tests.test_tensorboard import curve

LINE = re.compile(
    r"epoch (?P<epoch>\d+)/(?P<epochs>\d+) +(?P<seconds>[\d,]+\.\d) +(?P<speed>[\d,]+) +(?P<train_loss>\d+\.\d{4})"
    r" +(?P<train_accuracy>\d+\.\d\d) % +(?P<val_loss>\d+\.\d{4}|–) +(?P<val_accuracy>\d+\.\d\d %|–)(?P<best>  best)?$",
    re.MULTILINE,
)


class Slow(Callback):
    """Makes each batch take long enough to be seen."""

    def on_train_batch_start(self, *_: object) -> None:
        time.sleep(0.06)


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


def test_a_run_that_goes_on_within_an_epoch_says_where(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, *interrupt("train", 1, 3), exits=130)
    printed = cli("fit", "--ckpt_path", RUN, "--trainer.callbacks", "null")
    assert f"Continuing {RUN}/checkpoints/last.ckpt in epoch 2, after 4 batches of it.\n" in printed
    assert [match["epoch"] for match in LINE.finditer(printed)] == ["2"]
    assert "layer" not in printed  # they were shown when the run began


def test_on_a_terminal_a_bar_is_there_while_an_epoch_runs_and_gone_after_it(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    printed = cli("fit", "--config", recipe, "--trainer.callbacks+=tests.test_terminal.Slow")
    plain = re.sub(r"\x1b\[[\d;]*m", "", printed)
    assert re.search(r"\repoch 1/2 +\d+ % .* \d/10  00:0\d left", plain)
    assert re.search(r"left, loss=\d\.\d+, accuracy=\d\.\d+", plain)
    at_the_end = [line.rpartition("\r")[2] for line in plain.split("\n")]
    assert [match["epoch"] for match in map(LINE.match, at_the_end) if match] == ["1", "2"]
    assert not [line for line in at_the_end if "left" in line]
