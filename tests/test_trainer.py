"""The Trainer of the command line: what it takes is exact after a kill, what it does not know is refused."""

import pytest
from jsonargparse.typing import PositiveInt
from lightning.pytorch import callbacks

from fashion_lightning.callbacks.stopping import ValidateLastEpoch
from fashion_lightning.cli.build import check_order
from fashion_lightning.cli.trainer import Trainer
from fashion_lightning.errors import UserError


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
