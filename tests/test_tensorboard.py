"""What TensorBoard shows, read back from the event files."""

import io
import math
import signal
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fashion_lightning import CLASS_NAMES, FashionMNISTClassifier
from fashion_lightning.callbacks.plots import HIGHEST, WIDTH, confusion_matrix
from tests import kills
from tests.conftest import RUN, Run
from tests.interruption import assert_same_state
from tests.networks import Linear


def read(run: Path) -> EventAccumulator:
    """The events of a run folder, as TensorBoard reads them."""
    events = EventAccumulator(str(run), size_guidance={"images": 0, "tensors": 0})  # 0: all of them
    events.Reload()
    return events


def curve(run: Path, tag: str) -> list[tuple[int, float]]:
    """Steps and values of a scalar, in the order in which they were written.

    TensorBoard orders the event files of a folder by name, which is wrong for two that one process
    opens within a second (``.10`` comes before ``.9``), as only tests do.
    """
    return [(event.step, event.value) for event in sorted(read(run).Scalars(tag), key=lambda event: event.wall_time)]


def test_training_and_validation_curves_share_an_axis_of_optimizer_steps(trained: Path) -> None:
    for tag in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/top5"):
        assert [step for step, _ in curve(trained, tag)] == [9, 19]
    assert [step for step, _ in curve(trained, "train/loss_step")] == [4, 9, 14, 19]
    assert dict(curve(trained, "epoch"))[19] == 1
    rates = [value for _, value in curve(trained, "lr")]
    assert rates == pytest.approx([0.12 * (1 - step / 20) for step in (4, 9, 14, 19)])


def raw_steps(run: Path, pictures: bool) -> dict[str, list[int]]:
    """The steps of every scalar, or of all else, in the order in which the event files hold them."""
    return {
        tag: [step for step, _ in points]
        for tag, points in kills.logged(run).items()
        if math.isnan(points[0][1]) == pictures
    }


raw_points, raw_pictures = (partial(raw_steps, pictures=pictures) for pictures in (False, True))


WITHIN_AN_EPOCH = """
from fashion_lightning.callbacks.exact_resume import ReseedEachStep
from tensorboard.summary.writer.record_writer import RecordWriter

write = RecordWriter.write

def write_to_a_slow_disk(self, data):
    time.sleep(0.02)
    write(self, data)

def kill(self, trainer, *rest):
    if trainer.global_step == 17:
        os.kill(os.getpid(), signal.SIGKILL)

RecordWriter.write = write_to_a_slow_disk
ReseedEachStep.on_train_batch_start = kill
"""

BEHIND_THE_CHECKPOINT_OF_AN_EPOCH = """
from fashion_lightning.callbacks.checkpoints import DurableCheckpointIO

save = DurableCheckpointIO.save_checkpoint

def save_and_kill(self, checkpoint, path, storage_options=None):
    save(self, checkpoint, path)
    if checkpoint["global_step"] == 20 and "last" in str(path):
        os.kill(os.getpid(), signal.SIGKILL)

DurableCheckpointIO.save_checkpoint = save_and_kill
"""


@pytest.mark.slow
@pytest.mark.parametrize("suicide", [WITHIN_AN_EPOCH, BEHIND_THE_CHECKPOINT_OF_AN_EPOCH], ids=["within", "behind"])
def test_a_killed_and_continued_run_has_every_point_once_in_its_event_files(
    cli: Run, recipe: Path, command_on_generated_data: list[str], suicide: str
) -> None:
    script = Path(command_on_generated_data[1])
    script.write_text(f"import os, signal, time\n{suicide}\n{script.read_text()}")
    fit = ["--config", recipe, "--pictures", "true", "--trainer.max_epochs", "3", "--trainer.log_every_n_steps", "1"]
    every = ["--last_checkpoint.every_n_steps", "7"]
    killed = subprocess.run([*command_on_generated_data, "fit", *map(str, [*fit, *every])], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    cli("fit", "--ckpt_path", RUN)
    by_step, by_epoch = list(range(30)), [9, 19, 29]
    curves = ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/top5", "epoch", "throughput")
    assert raw_points(RUN) == {
        "lr": by_step,
        "train/loss_step": by_step,
        **dict.fromkeys(curves, by_epoch),
    }
    cli("fit", "--config", recipe, "--trainer.max_epochs", "3", "--pictures", "true")
    undisturbed = raw_pictures(Path("tensorboard_logs/tiny/version_1"))
    assert undisturbed["pictures/confusion matrix"] == by_epoch
    assert raw_pictures(RUN) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize(
    "validation", [["--trainer.check_val_every_n_epoch", "2"], ["--trainer.val_check_interval", "0.5"]]
)
def test_going_on_from_a_best_checkpoint_within_an_epoch_leaves_each_point_once(
    cli: Run, recipe: Path, validation: list[str]
) -> None:
    """Such a checkpoint is written after the last batch, but before the epoch's training figures are logged."""
    cli("fit", "--config", recipe, "--trainer.max_epochs", "4", "--trainer.log_every_n_steps", "1", *validation)
    undisturbed, drawn = raw_points(RUN), raw_pictures(RUN)
    best = torch.load(RUN / "checkpoints/best.ckpt", weights_only=True)["global_step"] - 1
    (RUN / "checkpoints/last.ckpt").unlink()
    assert "Going on from" in cli("fit", "--ckpt_path", RUN)
    found = raw_points(RUN)
    # The best checkpoint's epoch was complete: it has no throughput any more.
    assert found.pop("throughput") == [step for step in undisturbed.pop("throughput") if step != best]
    assert found == undisturbed
    assert raw_pictures(RUN) == drawn


def test_files_of_that_name_that_are_no_event_files_are_left_alone(cli: Run, trained: Path) -> None:
    foreign = {"text": b"not events", "empty": b"", "zeros": bytes(100)}
    for name, content in foreign.items():
        (trained / f"events.out.tfevents.1.{name}").write_bytes(content)
    (trained / "events.out.tfevents.folder").mkdir()
    cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    cli("test", "--ckpt_path", trained)
    for name, content in foreign.items():
        assert (trained / f"events.out.tfevents.1.{name}").read_bytes() == content


@pytest.mark.slow
def test_each_test_point_stands_once_however_often_test_is_typed(cli: Run, trained: Path) -> None:
    for tta in ("none", "flip", "flip"):
        cli("test", "--ckpt_path", trained, "--model.tta", tta)
    assert {tag: steps for tag, steps in raw_points(trained).items() if tag.startswith("test")} == {
        f"{stage}/{name}": [19] for stage in ("test", "test_flip") for name in ("accuracy", "loss", "top5")
    }
    cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "4")
    cli("test", "--ckpt_path", trained / "checkpoints/last.ckpt")
    assert raw_points(trained)["test/accuracy"] == [19, 39]


WITH_A_FULL_DISK = """
import errno, os
from tensorboard.compat.tensorflow_stub.io.gfile import LocalFileSystem

append = LocalFileSystem.append

def to_a_full_disk(self, name, content, binary=False):
    if os.path.getsize(name) > 3000:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    append(self, name, content, binary)

LocalFileSystem.append = to_a_full_disk
"""


@pytest.mark.slow
def test_a_full_disk_under_the_event_file_is_one_line(recipe: Path, command_on_generated_data: list[str]) -> None:
    script = Path(command_on_generated_data[1])
    script.write_text(WITH_A_FULL_DISK + script.read_text())
    done = subprocess.run([*command_on_generated_data, "fit", "--config", recipe], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "No space left on device" in line


@pytest.mark.slow
def test_pictures_change_nothing_of_the_training_and_can_be_switched_off(cli: Run, recipe: Path) -> None:
    dropout = ["--model.network", "tests.networks.WithDropout", "--trainer.max_epochs", "1"]
    for drawn in ("true", "false"):
        cli("fit", "--config", recipe, *dropout, "--pictures", drawn)
    runs = [Path(f"tensorboard_logs/WithDropout/version_{number}") for number in (0, 1)]
    assert_same_state(*runs)
    cli("test", "--ckpt_path", runs[1], "--pictures", "true")
    assert not any(tag.startswith(("pictures/", "precision")) for tag in raw_pictures(runs[1]))


def test_the_confusion_matrix_has_true_classes_as_rows() -> None:
    counts = torch.eye(10)
    counts[2, 7] = 3
    axes = confusion_matrix(FashionMNISTClassifier(Linear()), {"confusion": counts}).axes[0]
    shown = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert shown == {(cls, cls): "100" for cls in range(10)} | {(2, 2): "25.0", (2, 7): "75.0"}
    assert [label.get_text() for label in axes.get_yticklabels()] == list(CLASS_NAMES)


def test_each_validation_of_a_fit_is_drawn_at_the_step_of_its_curves(drawn: Path) -> None:
    events = read(drawn)
    found = {tag.removeprefix("pictures/"): events.Images(tag) for tag in events.Tags()["images"]}
    names = ("confusion matrix", "most confident mistakes")
    once = {"training images, as they are and augmented": [0]}
    steps = {name: [picture.step for picture in pictures] for name, pictures in found.items()}
    assert steps == once | {name: [9, 19] for name in names}
    for pictures in found.values():
        picture = Image.open(io.BytesIO(pictures[-1].encoded_image_string))
        # White where nothing is drawn: TensorBoard has a dark theme.
        assert (picture.width, picture.height <= HIGHEST) == (WIDTH, True)
        assert (np.asarray(picture.convert("RGB")) == 255).all(axis=2).mean() > 0.1


def test_precision_and_recall_of_each_class_are_those_of_the_validation_images(drawn: Path) -> None:
    events = read(drawn)
    for name in CLASS_NAMES:
        *_, last = curve = events.Tensors(f"precision and recall/{name.replace('/', ' or ')}")
        assert [event.step for event in curve] == [9, 19]
        _, _, _, _, precision, recall = np.reshape(last.tensor_proto.float_val, (6, -1))
        assert (precision[0], recall[0]) == (pytest.approx(0.1), 1)  # where every image is taken for the class
