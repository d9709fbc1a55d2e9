"""What TensorBoard shows, read back from the event files."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.plugins.hparams import plugin_data_pb2

from tests.conftest import Run


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


def test_the_hparams_tab_shows_the_recipe_with_its_real_figures(cli: Run, trained: Path) -> None:
    cli("test", "--ckpt_path", trained)
    events = read(trained)
    tags = events.summary_metadata
    experiment = plugin_data_pb2.HParamsPluginData.FromString(tags["_hparams_/experiment"].plugin_data.content)
    session = plugin_data_pb2.HParamsPluginData.FromString(tags["_hparams_/session_start_info"].plugin_data.content)
    metrics = {info.name.tag for info in experiment.experiment.metric_infos}
    assert metrics == {"val/accuracy", "val/loss", "val/top5", "test/accuracy", "test/loss"}
    for tag in metrics:
        assert curve(trained, tag)[-1][1] > 0
    hparams = session.session_start_info.hparams
    assert hparams["recipe"].string_value == "tiny"
    assert hparams["data.batch_size"].number_value == 50
    assert hparams["model.optimizer.init_args.lr"].number_value == 0.12
    assert curve(trained, "test/accuracy")[-1][0] == 19
    assert [step for step, _ in curve(trained, "epoch")] == [9, 19]
    assert "hp_metric" not in events.Tags()["scalars"]


def test_the_graph_tab_shows_the_network(trained: Path) -> None:
    nodes = {node.name for node in read(trained).Graph().node}
    assert any("Conv2d" in name for name in nodes)


def test_validate_and_predict_add_nothing_to_the_curves_of_a_run(cli: Run, trained: Path) -> None:
    before = {path.name for path in trained.iterdir() if "tfevents" in path.name}
    cli("validate", "--ckpt_path", trained)
    cli("predict", "--ckpt_path", trained)
    assert {path.name for path in trained.iterdir() if "tfevents" in path.name} == before


def raw_points(run: Path) -> dict[str, list[int]]:
    """The steps of every scalar in the event files, as they lie there."""
    steps: dict[str, list[int]] = {}
    for path in sorted(run.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    steps.setdefault(value.tag, []).append(event.step)
    return steps


WITHIN_AN_EPOCH = """
from fashion_lightning.callbacks.reseed import ReseedEachStep
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
from fashion_lightning.runs.checkpoint_io import DurableCheckpointIO

save = DurableCheckpointIO.save_checkpoint

def save_and_kill(self, checkpoint, path, storage_options=None):
    save(self, checkpoint, path)
    if checkpoint["global_step"] == 20 and "last" in str(path):
        os.kill(os.getpid(), signal.SIGKILL)

DurableCheckpointIO.save_checkpoint = save_and_kill
"""


@pytest.mark.parametrize("suicide", [WITHIN_AN_EPOCH, BEHIND_THE_CHECKPOINT_OF_AN_EPOCH], ids=["within", "behind"])
def test_a_killed_and_continued_run_has_every_point_once_in_its_event_files(
    cli: Run, recipe: Path, command_on_generated_data: list[str], suicide: str
) -> None:
    script = Path(command_on_generated_data[1])
    script.write_text(f"import os, signal, time\n{suicide}\n{script.read_text()}")
    fit = ["--config", recipe, "--trainer.max_epochs", "3", "--trainer.log_every_n_steps", "1"]
    every = ["--last_checkpoint.every_n_steps", "7"]
    killed = subprocess.run([*command_on_generated_data, "fit", *map(str, [*fit, *every])], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    run = Path("tensorboard_logs/tiny/version_0")
    cli("fit", "--ckpt_path", run)
    by_step, by_epoch = list(range(30)), [9, 19, 29]
    assert raw_points(run) == {
        "lr": by_step,
        "train/loss_step": by_step,
        **dict.fromkeys(("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/top5", "epoch"), by_epoch),
    }


@pytest.mark.parametrize(
    "validation", [["--trainer.check_val_every_n_epoch", "2"], ["--trainer.val_check_interval", "0.5"]]
)
def test_going_on_from_a_best_checkpoint_within_an_epoch_leaves_each_point_once(
    cli: Run, recipe: Path, validation: list[str]
) -> None:
    """Such a checkpoint is written after the last batch, but before the epoch's training figures are logged."""
    cli("fit", "--config", recipe, "--trainer.max_epochs", "4", "--trainer.log_every_n_steps", "1", *validation)
    run = Path("tensorboard_logs/tiny/version_0")
    undisturbed = raw_points(run)
    (run / "checkpoints/last.ckpt").unlink()
    assert "Going on from" in cli("fit", "--ckpt_path", run)
    assert raw_points(run) == undisturbed


def event_file(run: Path) -> Path:
    """The file with the curves of the training."""
    return max(run.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("place", ["length", "content"])
def test_a_flipped_byte_in_an_event_file_costs_one_point_which_is_said(cli: Run, trained: Path, place: str) -> None:
    before = raw_points(trained)
    path = event_file(trained)
    content = bytearray(path.read_bytes())
    record = content.index(b"train/loss_step")  # of the first point
    start = content.rindex(b"\x00\x00\x00\x00", 0, record) - 4
    content[start if place == "length" else record] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"is damaged: \d+ bytes in its middle cannot be read"):
        cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    after = raw_points(trained)
    lost = {tag: [step for step in steps if step not in after[tag]] for tag, steps in before.items()}
    assert {tag: steps for tag, steps in lost.items() if steps} == {"train/loss_step": [4]}


def test_files_of_that_name_that_are_no_event_files_are_left_alone(cli: Run, trained: Path) -> None:
    foreign = {"text": b"not events", "empty": b"", "zeros": bytes(100)}
    for name, content in foreign.items():
        (trained / f"events.out.tfevents.1.{name}").write_bytes(content)
    (trained / "events.out.tfevents.folder").mkdir()
    cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    cli("test", "--ckpt_path", trained)
    for name, content in foreign.items():
        assert (trained / f"events.out.tfevents.1.{name}").read_bytes() == content


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


def test_with_the_clock_set_back_tensorboard_reads_a_continued_run_in_order(cli: Run, trained: Path) -> None:
    path = event_file(trained)
    later = int(time.time()) + 3600
    path.rename(path.with_name(re.sub(r"tfevents\.\d+", f"tfevents.{later}", path.name)))
    cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "4")
    assert [event.step for event in read(trained).Scalars("val/accuracy")] == [9, 19, 29, 39]


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
    run = Path("tensorboard_logs/tiny/version_0")
    assert f"The curves in {run} cannot be written (No space left on device)." in line
