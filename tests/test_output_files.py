"""What ``predict`` and ``test`` write, and where they must not."""

import csv
import os
import threading
from pathlib import Path

import pytest
import torch
from lightning import LightningModule, Trainer
from PIL import Image

from fashion_lightning.callbacks.predictions import PredictionsCSV
from fashion_lightning.data.batches import Batch
from fashion_lightning.data.classes import FASHION_MNIST
from fashion_lightning.files.durable import write_output
from tests.conftest import Run


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines()))


def test_a_pipe_or_a_device_is_written_to_not_replaced() -> None:
    read: list[bytes] = []
    os.mkfifo("pipe")
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    write_output(Path("pipe"), b"x")
    reader.join()
    assert Path("pipe").is_fifo()
    assert read == [b"x"]
    Path("null").symlink_to("/dev/null")
    write_output(Path("null"), b"x")
    assert Path("null").is_symlink()
    with pytest.raises(OSError, match="No space left"):
        write_output(Path("/dev/full"), b"x")


def test_a_symbolic_link_stays_and_its_file_is_replaced_in_a_folder_that_is_made() -> None:
    write_output(Path("new/target.csv"), b"old")
    Path("link.csv").symlink_to("new/target.csv")
    write_output(Path("link.csv"), b"x")
    assert Path("link.csv").is_symlink()
    assert Path("new/target.csv").read_bytes() == b"x"


def test_predictions_of_own_pictures_leave_those_of_the_test_images_alone(cli: Run, trained: Path) -> None:
    cli("predict", "--ckpt_path", trained)
    before = (trained / "predictions.csv").read_bytes()
    Image.new("L", (28, 28), 100).save("a.png")
    cli("predict", "--ckpt_path", trained, "--images", "a.png")
    assert (trained / "predictions.csv").read_bytes() == before
    assert [row[0] for row in rows_of((trained / "predictions_images.csv").read_text())] == ["image", "a.png"]


def test_a_probability_is_written_with_the_digits_that_give_its_float32_back() -> None:
    torch.manual_seed(0)
    probabilities = (10 * torch.randn(500, 10)).softmax(dim=1)
    batch = Batch(
        torch.zeros(500, 1, 28, 28, dtype=torch.uint8), torch.zeros(500, dtype=torch.int64), torch.arange(500)
    )
    writer = PredictionsCSV(Path("a.csv"), FASHION_MNIST.class_names)
    writer.write_on_batch_end(
        Trainer(logger=False), LightningModule(), (batch.indices, probabilities, probabilities > 0.5), None, batch, 0, 0
    )
    written = torch.tensor([[float(text) for text in writer.rows[index][1]] for index in range(500)])
    assert torch.equal(written, probabilities)


def test_names_in_the_table_are_text_that_no_spreadsheet_runs(cli: Run, trained: Path) -> None:
    Path("own").mkdir()
    for name in (b"own/=cmd.png", b"own/b\xff.png"):
        Image.new("L", (28, 28), 100).save(os.fsdecode(name))
    os.chdir("own")
    cli("predict", "--ckpt_path", Path("..") / trained, "--images", "*.png", "--output", "a.csv")
    assert [row[0] for row in rows_of(Path("a.csv").read_text())] == ["image", "'=cmd.png", r"b\udcff.png"]
