"""What a fit and a test show while they run: in a pipe, in a notebook and on a terminal."""

import io
import re
import sys
import time
from pathlib import Path

import pytest
from lightning import Callback, Trainer

from fashion_lightning import CNN, FashionMNISTClassifier, FashionMNISTDataModule
from fashion_lightning.callbacks.images_seen import ImagesSeen
from fashion_lightning.callbacks.terminal import EpochLines, TerminalBar
from tests.conftest import Run
from tests.interruption import interrupt
from tests.test_tensorboard import curve

LINE = re.compile(
    r"epoch (?P<epoch>\d+)/(?P<epochs>\d+) +(?P<seconds>[\d,]+\.\d) +(?P<speed>[\d,]+) +(?P<train_loss>\d+\.\d{4})"
    r" +(?P<train_accuracy>\d+\.\d\d) % +(?P<val_loss>\d+\.\d{4}|–) +(?P<val_accuracy>\d+\.\d\d %|–)(?P<best>  best)?$",
    re.MULTILINE,
)
RUN = Path("tensorboard_logs/tiny/version_0")


class Terminal(io.StringIO):
    """A terminal that remembers everything that was written to it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def shown(self) -> list[str]:
        """What stands there at the end, without colours: a carriage return goes back to the start of its line."""
        lines = []
        for text in re.sub(r"\x1b\[[\d;]*m", "", self.getvalue()).split("\n"):
            line = ""
            for part in text.split("\r"):
                line = part + line[len(part) :]
            lines.append(line.rstrip())
        return lines


def take_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """From now on, print to a terminal; not a fixture, since pytest sets its own stream when the test begins."""
    fake = Terminal()
    monkeypatch.setattr(sys, "stdout", fake)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    return fake


def trainer_of(*callbacks: Callback, max_epochs: int = 2) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=max_epochs,
        logger=False,
        log_every_n_steps=2,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[EpochLines(), TerminalBar(2), ImagesSeen(), *callbacks],
    )


class Slow(Callback):
    """Makes each batch take long enough to be seen."""

    def on_train_batch_start(self, *_: object) -> None:
        time.sleep(0.06)


def classifier_and_data(data: Path) -> tuple[FashionMNISTClassifier, FashionMNISTDataModule]:
    network = CNN(stem=2, widths=[2])
    return FashionMNISTClassifier(network), FashionMNISTDataModule(str(data), batch_size=50, val_size=100)


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
    best, at_best = 0.0, []
    for line in lines[1:]:
        accuracy = float(str(line["val_accuracy"]).rstrip(" %"))
        at_best.append(accuracy > best)
        best = max(best, accuracy)
    assert [bool(line["best"]) for line in lines] == [False, *at_best]
    assert max(len(line) for line in printed.splitlines() if line.startswith("epoch")) <= 80


def test_a_run_that_goes_on_within_an_epoch_says_where(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, *interrupt("train", 1, 3), exits=130)
    printed = cli("fit", "--ckpt_path", RUN, "--trainer.callbacks", "null")
    assert f"Continuing {RUN}/checkpoints/last.ckpt in epoch 2, after 4 batches of it.\n" in printed
    assert [match["epoch"] for match in LINE.finditer(printed)] == ["2"]
    assert "layer" not in printed  # they were shown when the run began


def test_on_a_terminal_a_bar_is_there_while_an_epoch_runs_and_gone_after_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = take_terminal(monkeypatch)
    trainer_of(Slow()).fit(*classifier_and_data(data))
    drawn = re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())
    assert re.search(r"\repoch 1/2 +\d+ % .* \d/10  00:0\d left", drawn)
    assert re.search(r"left, loss=\d\.\d+, accuracy=\d\.\d+", drawn)
    heading, *lines = [line for line in terminal.shown() if line]
    assert heading.split() == ["seconds", "images/s", "train", "loss", "accuracy", "val", "loss", "accuracy"]
    assert [line[:9] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all(LINE.match(line) for line in lines)
