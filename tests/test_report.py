"""The page that ``test`` leaves: its figures, and what it says where something is missing."""

import csv
import errno
import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from fashion_lightning.calibration import BINS
from fashion_lightning.data import source
from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.errors import UserError
from fashion_lightning.report import near_duplicates
from fashion_lightning.report.near_duplicates import NearDuplicate
from fashion_lightning.runs.results import recipe_settings
from tests.conftest import Run


def text_of(page: Path) -> str:
    """What a reader sees, but for pictures; one space between words."""
    body = re.sub(r"<(style|svg|title).*?</\1>", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def test_the_figures_are_those_of_the_predictions_computed_anew(cli: Run, trained: Path) -> None:
    """From ``predict``'s table, with numpy alone; the page shows them, and where they come from."""
    printed = cli("test", "--ckpt_path", trained)
    assert f"Report: {trained}/test_best.html" in printed
    cli("predict", "--ckpt_path", trained)
    with (trained / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    probabilities = np.array([[row[name] for name in CLASS_NAMES] for row in rows], dtype=np.float64)
    labels = np.array([CLASS_NAMES.index(row["label"]) for row in rows])
    guesses, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = guesses == labels
    confusion = np.zeros((10, 10), dtype=int)
    np.add.at(confusion, (labels, guesses), 1)
    ece = 0.0
    for low in np.arange(BINS) / BINS:
        inside = (confidence > low) & (confidence <= low + 1 / BINS)
        ece += abs(right[inside].sum() - confidence[inside].sum()) / len(rows)

    figures = json.loads((trained / "test_best.json").read_text())
    assert figures["accuracy"] == pytest.approx(right.mean(), abs=1e-7)
    assert figures["confusion"] == confusion.tolist()
    assert figures["ece"] == pytest.approx(ece, abs=1e-6)
    text = text_of(trained / "test_best.html")
    assert f"All {(~right).sum()}, the most confident first" in text
    for index in np.flatnonzero(~right):
        assert f"#{index} " in text
    assert f"here {figures['temperature']:.3f} , which gives the 100 validation images" in text
    assert f"with the temperature {percent(figures['scaled_ece'])} {figures['scaled_loss']:.4f}" in text
    assert "near_duplicates" not in figures  # known of the real images only
    assert "They are known for the 10,000 test images of Fashion-MNIST only." in text
    for told in (f"fashion-lightning test --ckpt_path {trained}", "fashion-lightning fit --config", "torch 2", "cores"):
        assert told in text
    assert "model.network.init_args.widths [4, 4, 8]" in text


def test_a_page_needs_nothing_else_and_shows_a_picture_of_each_mistake(cli: Run, trained: Path) -> None:
    cli("test", "--ckpt_path", trained, "--model.tta", "flip")
    for name in ("test_best", "test_best_flip"):
        page = (trained / f"{name}.html").read_text(encoding="utf-8")
        figures = json.loads((trained / f"{name}.json").read_text())
        wrong = figures["images"] - round(figures["accuracy"] * figures["images"])
        assert page.count('alt="test image') >= wrong > 0
        assert set(re.findall(r'(?:src|href|url)[=(]"?([^#"][^:"]*:)', page)) == {"data:"}
        assert len(page) < 3_000_000
        text = text_of(trained / f"{name}.html")
        both = [json.loads((trained / f"test_best{suffix}.json").read_text()) for suffix in ("", "_flip")]
        assert f"as they are {percent(both[0]['accuracy'])}" in text
        assert f"averaged with their mirror images {percent(both[1]['accuracy'])}" in text


def test_images_that_were_trained_on_are_told_apart(cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {5: NearDuplicate(17, True, 12.3), 7: NearDuplicate(3, False, 4.0), 8: NearDuplicate(8, False, 9.0)}
    monkeypatch.setattr(near_duplicates, "near_duplicates", lambda images: pairs)
    cli("test", "--ckpt_path", trained)
    figures = json.loads((trained / "test_best.json").read_text())
    assert figures["near_duplicates"] == 3
    text = text_of(trained / "test_best.html")
    assert f"without a near-duplicate 97 {percent(figures['accuracy_without_near_duplicates'])}" in text
    shown = re.findall(r"test #(\d+) [\w/ -]+? training #(\d+) [\w/ -]+? ([\d.]+) grey levels(, mirrored)?", text)
    assert shown == [("7", "3", "4.0", ""), ("8", "8", "9.0", ""), ("5", "17", "12.3", ", mirrored")]


def test_text_of_a_strangers_checkpoint_is_shown_and_not_obeyed(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = {"<script>alert(1)</script>": "</td><img src=http://example.org>", "long": "x" * 10_000}
    monkeypatch.setattr(
        "fashion_lightning.report.evaluation_page.recipe_settings",
        lambda settings: {**recipe_settings(settings), **hostile},
    )
    cli("test", "--ckpt_path", trained)
    page = (trained / "test_best.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "<img src=http" not in page
    assert "x" * 201 not in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (("--trainer.limit_val_batches", "0"), "a trainer.limit_ setting left no validation image."),
        (("--data.val_size", "0"), "the validation images could not be measured. data.val_size is 0"),
        (("--data.val_size", "99"), "only 99 validation images, of which at least 100 are needed."),
    ],
)
def test_without_validation_images_there_is_a_report_that_says_so(
    cli: Run, trained: Path, setting: tuple[str, str], reason: str
) -> None:
    cli("test", "--ckpt_path", trained, *setting)
    assert f"There is no temperature: {reason}" in text_of(trained / "test_best.html")
    assert "temperature" not in json.loads((trained / "test_best.json").read_text())


def test_without_training_images_there_is_a_report_that_says_so(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = source.load

    def of_test_only(split: source.Split, root: Path) -> object:
        if split == "train":
            raise UserError("not today")
        return load(split, root)

    monkeypatch.setattr(source, "load", of_test_only)
    monkeypatch.setattr(near_duplicates, "near_duplicates", lambda images: {5: NearDuplicate(17, True, 12.3)})
    cli("test", "--ckpt_path", trained)
    text = text_of(trained / "test_best.html")
    assert "with one 1 " in text
    assert "the validation images could not be measured. not today" in text


def test_a_part_of_the_test_images_is_called_one(cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fashion_lightning.data.datamodule.EVAL_BATCH_SIZE", 40)
    cli("test", "--ckpt_path", trained, "--trainer.limit_test_batches", "0.4")
    assert "Only 40 of the 100 test images were measured" in text_of(trained / "test_best.html")


def test_the_report_of_a_moved_checkpoint_lies_beside_it(cli: Run, trained: Path, tmp_path: Path) -> None:
    lone = tmp_path / "elsewhere/mine.ckpt"
    lone.parent.mkdir()
    shutil.copy(trained / "checkpoints/best.ckpt", lone)
    cli("test", "--ckpt_path", lone)
    assert {path.name for path in lone.parent.iterdir()} == {"mine.ckpt", "test_mine.json", "test_mine.html"}
    assert f"fashion-lightning test --ckpt_path {lone}" in text_of(lone.with_name("test_mine.html"))


def test_where_nothing_can_be_written_the_figures_are_shown_and_nothing_is_left(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cli("test", "--ckpt_path", trained)
    before = {path.name: path.read_bytes() for path in trained.glob("test_*")}
    monkeypatch.setattr("fashion_lightning.files.durable.os.fsync", full)
    printed = cli("test", "--ckpt_path", trained, exits=2)
    assert "(100 images)" in printed
    assert f"error: The metrics above could not be written to {trained} (No space left on device)." in printed
    assert "There is no report either." in printed
    assert {path.name: path.read_bytes() for path in trained.glob("test_*")} == before
    assert not list(trained.glob("*.partial"))


@pytest.mark.slow
def test_two_tests_at_once_leave_one_whole_report(trained: Path, command_on_generated_data: list[str]) -> None:
    command = [*command_on_generated_data, "test", "--ckpt_path", str(trained)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert (trained / "test_best.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert json.loads((trained / "test_best.json").read_text())["images"] == 100
    assert not list(trained.glob(".*.partial"))


@pytest.mark.slow
def test_the_epochs_of_a_checkpoint_from_a_late_validation_are_counted_whole(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, "--epochs", "2", "--trainer.check_val_every_n_epoch", "3")
    cli("test", "--ckpt_path", "tiny")
    page = Path("tensorboard_logs/tiny/version_0/test_best.html").read_text(encoding="utf-8")
    assert "after 20 steps (2 epochs)" in page
