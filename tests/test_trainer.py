"""The Trainer of the command line: what it takes is exact after a kill, what it does not know is refused."""

from pathlib import Path

import pytest
import yaml
from jsonargparse.typing import PositiveInt
from lightning.pytorch import callbacks

from fashion_lightning.callbacks.stopping import ValidateLastEpoch
from fashion_lightning.cli.build import check_order
from fashion_lightning.cli.trainer import Trainer
from fashion_lightning.errors import UserError
from tests.conftest import Run
from tests.interruption import assert_same_state
from tests.test_tensorboard import raw_points


def test_lightnings_own_parts_are_refused_unless_they_are_known_to_go_on_exactly() -> None:
    Trainer(accelerator="cpu", logger=False, callbacks=[callbacks.LearningRateMonitor()])
    for part in (callbacks.StochasticWeightAveraging(0.1), callbacks.GradientAccumulationScheduler({0: 2})):
        with pytest.raises(UserError, match="a run that was killed would not go on with it"):
            Trainer(accelerator="cpu", logger=False, callbacks=[part])


def test_numbers_of_jsonargparses_types_become_plain_ones_which_checkpoints_may_hold() -> None:
    trainer = Trainer(
        accelerator="cpu", logger=False, max_epochs=PositiveInt(3), accumulate_grad_batches=PositiveInt(2)
    )
    assert (type(trainer.max_epochs), type(trainer.accumulate_grad_batches)) == (int, int)


def test_callbacks_in_an_order_that_does_not_work_are_named() -> None:
    timer, last = callbacks.Timer(), ValidateLastEpoch()
    check_order([timer, last])
    with pytest.raises(RuntimeError, match="Timer must come before ValidateLastEpoch"):
        check_order([last, timer])


@pytest.mark.slow
def test_a_run_with_the_parts_that_are_taken_is_exact_after_a_kill(cli: Run, recipe: Path) -> None:
    every_epoch = {"filename": "{epoch}", "save_top_k": -1, "enable_version_counter": False}
    taken = [
        {"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"},
        {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": every_epoch},
    ]
    moment = {"hook": "train", "epoch": 1, "batch": 3, "signum": 2}
    signal = {"class_path": "tests.interruption.InterruptAt", "init_args": moment}
    for name, parts in (("taken", taken), ("interrupted", [*taken, signal])):
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": parts}}))
    cli("fit", "--config", recipe, "--config", "taken.yaml")
    cli("fit", "--config", recipe, "--config", "interrupted.yaml", exits=130)
    undisturbed, disturbed = (Path(f"tensorboard_logs/tiny/version_{n}") for n in (0, 1))
    cli("fit", "--ckpt_path", disturbed, "--config", "taken.yaml")
    assert raw_points(disturbed) == raw_points(undisturbed)
    assert "lr-Muon/pg1" in raw_points(disturbed)
    assert_same_state(undisturbed, disturbed)
    files = [{path.name for path in (run / "checkpoints").iterdir()} for run in (undisturbed, disturbed)]
    assert files[0] == files[1] == {"best.ckpt", "last.ckpt", "epoch=0.ckpt", "epoch=1.ckpt"}
