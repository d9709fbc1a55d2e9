"""What TensorBoard shows, read back from the event files."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
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
