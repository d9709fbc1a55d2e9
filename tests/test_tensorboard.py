"""What TensorBoard shows, read back from the event files."""

import signal
import subprocess
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
