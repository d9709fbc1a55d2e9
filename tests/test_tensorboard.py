"""What TensorBoard shows, read back from the event files."""

import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from tests.conftest import RUN, Run


def read(run: Path) -> EventAccumulator:
    """The events of a run folder, as TensorBoard reads them."""
    events = EventAccumulator(str(run))
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


def raw_steps(run: Path, scalars: bool) -> dict[str, list[int]]:
    """The steps of every scalar, or of all else, in the order in which the event files hold them."""
    steps: dict[str, list[int]] = {}
    for path in sorted(run.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.HasField("simple_value") == scalars:
                    steps.setdefault(value.tag, []).append(event.step)
    return steps


raw_points, raw_pictures = (partial(raw_steps, scalars=scalars) for scalars in (True, False))


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
    (RUN / "checkpoints/last.ckpt").unlink()
    assert "Going on from" in cli("fit", "--ckpt_path", RUN)
    found = raw_points(RUN)
    assert found.pop("throughput") != undisturbed.pop("throughput")  # the epoch that was done has none any more
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
    steps = {tag: steps for tag, steps in raw_points(trained).items() if tag.startswith("test")}
    assert steps == {
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
