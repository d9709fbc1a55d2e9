"""What ``test`` and ``predict`` leave: figures on a page and in tables, and what is said where something is missing."""

import csv
import errno
import json
import math
import os
import re
from html import unescape
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.report import findings
from tests.conftest import Run


def text_of(page: Path) -> str:
    """The text that a reader sees; one space between words."""
    body = re.sub(r"<(style|svg|title).*?</\1>", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def test_the_figures_are_those_of_the_predictions_computed_anew(cli: Run, trained: Path) -> None:
    """From ``predict``'s table; the page shows them, and where they come from."""
    cli("test", "--ckpt_path", trained, "--output", "elsewhere/figures")
    assert {path.name for path in Path("elsewhere/figures").iterdir()} == {"test_best.json", "test_best.html"}
    assert not (trained / "test_best.json").exists()
    printed = cli("test", "--ckpt_path", trained)
    assert f"Report: {trained}/test_best.html" in printed
    cli("predict", "--ckpt_path", trained)
    rows = list(csv.DictReader((trained / "predictions.csv").read_text().splitlines()))
    assert list(rows[0]) == ["image", "class", "label", "correct", *CLASS_NAMES]
    assert [row["image"] for row in rows] == [str(index) for index in range(100)]
    assert [row["label"] for row in rows] == [CLASS_NAMES[index % 10] for index in range(100)]  # of the generated data
    for row in rows:
        shares = [float(row[name]) for name in CLASS_NAMES]
        assert sum(shares) == pytest.approx(1, abs=1e-6)  # all digits of a float32 are written
        assert row["class"] == CLASS_NAMES[shares.index(max(shares))]
        assert row["correct"] == ("true" if row["class"] == row["label"] else "false")
    pairs = [(CLASS_NAMES.index(row["label"]), CLASS_NAMES.index(row["class"])) for row in rows]
    wrong = [index for index, (label, guess) in enumerate(pairs) if label != guess]
    figures = json.loads((trained / "test_best.json").read_text())
    assert figures["accuracy"] == pytest.approx(1 - len(wrong) / 100, abs=1e-7)
    assert figures["loss"] == pytest.approx(-sum(math.log(float(row[row["label"]])) for row in rows) / 100, rel=1e-5)
    assert figures["confusion"] == [[pairs.count((label, guess)) for guess in range(10)] for label in range(10)]
    assert "near_duplicates" not in figures  # known of the real images only
    assert f"accuracy {100 * figures['accuracy']:.2f} %" in printed
    text = text_of(trained / "test_best.html")
    for told in (
        f"All {len(wrong)}, the most confident first",
        *(f"#{index} " for index in wrong),
        f"here {figures['temperature']:.3f} , for which the cross-entropy of the 100 validation images is least",
        f"with the temperature {percent(figures['scaled_ece'])} {figures['scaled_loss']:.4f}",
        "They are known only for the 10,000 test images of Fashion-MNIST.",
        f"fashion-lightning test --ckpt_path {trained}",
        "fashion-lightning fit --config",
        "model.network.init_args.widths [4, 4, 8]",
    ):
        assert told in text


@pytest.mark.slow
def test_a_page_needs_nothing_else_and_shows_a_picture_of_each_mistake(cli: Run, trained: Path) -> None:
    cli("test", "--ckpt_path", trained, "--model.tta", "flip")
    plain, averaged = (json.loads((trained / f"test_{name}.json").read_text()) for name in ("best", "best_flip"))
    page = (trained / "test_best_flip.html").read_text(encoding="utf-8")
    wrong = averaged["images"] - round(averaged["accuracy"] * averaged["images"])
    assert page.count('alt="test image') >= wrong > 0
    assert set(re.findall(r'(?:src|href|url)[=(]"?([^#"][^:"]*:)', page)) == {"data:"}
    text = text_of(trained / "test_best_flip.html")
    assert f"as they are {percent(plain['accuracy'])}" in text
    assert f"averaged with their mirror images {percent(averaged['accuracy'])}" in text


def test_near_duplicates_are_counted_apart(cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "near_duplicates", lambda images: frozenset({5, 7, 8}))
    cli("test", "--ckpt_path", trained)
    figures = json.loads((trained / "test_best.json").read_text())
    assert figures["near_duplicates"] == 3
    text = text_of(trained / "test_best.html")
    assert f"without a near-duplicate 97 {percent(figures['accuracy_without_near_duplicates'])}" in text


@pytest.mark.slow
def test_without_validation_images_there_is_a_report_that_says_so(cli: Run, trained: Path) -> None:
    cli("test", "--ckpt_path", trained, "--trainer.limit_val_batches", "0")
    reason = "the validation images could not be measured. There was nothing to validate: data.val_size or a"
    assert f"No temperature was fitted: {reason} trainer.limit_ setting left no image." in text_of(
        trained / "test_best.html"
    )
    assert "temperature" not in json.loads((trained / "test_best.json").read_text())


def test_a_part_of_the_test_images_is_called_one(cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fashion_lightning.data.datamodule.EVAL_BATCH_SIZE", 40)
    cli("test", "--ckpt_path", trained, "--trainer.limit_test_batches", "0.4")
    assert "Only 40 of the 100 test images were measured" in text_of(trained / "test_best.html")


def test_where_nothing_can_be_written_the_figures_are_shown_and_nothing_is_left(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("test", "--ckpt_path", trained)
    before = {path.name: path.read_bytes() for path in trained.glob("*test_best*")}
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr("fashion_lightning.files.durable.os.fsync", Mock(side_effect=full))
    printed = cli("test", "--ckpt_path", trained, exits=2)
    assert "(100 images)" in printed
    assert "error: No space left on device: " in printed
    assert {path.name: path.read_bytes() for path in trained.glob("*test_best*")} == before


def test_predictions_of_own_pictures_leave_those_of_the_test_images_alone(cli: Run, trained: Path) -> None:
    cli("predict", "--ckpt_path", trained)
    before = (trained / "predictions.csv").read_bytes()
    Image.new("L", (28, 28), 100).save("a.png")
    cli("predict", "--ckpt_path", trained, "--images", "a.png")
    assert (trained / "predictions.csv").read_bytes() == before
    assert [row[0] for row in csv.reader((trained / "predictions_images.csv").read_text().splitlines())] == [
        "image",
        "a.png",
    ]


def test_names_in_the_table_are_text_that_no_spreadsheet_runs(cli: Run, trained: Path) -> None:
    Path("own").mkdir()
    for name in (b"own/=cmd.png", b"own/b\xff.png"):
        Image.new("L", (28, 28), 100).save(os.fsdecode(name))
    os.chdir("own")
    cli("predict", "--ckpt_path", Path("..") / trained, "--images", "*.png", "--output", "a.csv")
    assert [row[0] for row in csv.reader(Path("a.csv").read_text().splitlines())] == [
        "image",
        "'=cmd.png",
        r"b\udcff.png",
    ]
