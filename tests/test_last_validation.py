"""A fit validates the epoch that it ends in, whatever ends it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.interruption import assert_same_state, interrupt
from tests.test_tensorboard import curve

RUN = Path("tensorboard_logs/tiny/version_0")
EVERY_THIRD = ["--trainer.check_val_every_n_epoch", "3"]


def best_of(run: Path) -> Any:
    return json.loads((run / "fit.json").read_text())["best"]


def test_a_run_that_ends_before_its_first_validation_has_an_accuracy_and_can_be_used(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe, *EVERY_THIRD)
    assert best_of(RUN)["epoch"] == 1
    assert "Validation        accuracy" in printed
    assert "100 predictions" in cli("predict", "--ckpt_path", RUN)


def test_a_run_that_max_steps_ends_with_an_epoch_is_validated_there(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, *EVERY_THIRD, "--trainer.max_epochs", "9", "--trainer.max_steps", "20")
    assert best_of(RUN)["steps"] == 20


@pytest.mark.slow
def test_epochs_before_the_last_are_validated_as_often_as_was_asked_for(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, *EVERY_THIRD, "--trainer.max_epochs", "5")
    assert [step for step, _ in curve(RUN, "val/accuracy")] == [29, 49]


@pytest.mark.slow
@pytest.mark.parametrize("moment", [("train", 1, 4), ("validation", 1, 0)], ids=str)
def test_a_run_that_is_interrupted_in_its_last_epoch_ends_as_one_that_is_not(
    cli: Run, recipe: Path, moment: tuple[str, int, int]
) -> None:
    fit = ["fit", "--config", recipe, *EVERY_THIRD]
    cli(*fit)
    other = RUN.with_name("version_1")
    cli(*fit, *interrupt(*moment), exits=130 if moment[0] == "train" else None)
    cli("fit", "--ckpt_path", other, "--trainer.callbacks", "null")
    assert_same_state(RUN, other)
    assert best_of(RUN) == best_of(other)
    assert curve(RUN, "val/loss") == curve(other, "val/loss")


@pytest.mark.slow
def test_a_run_that_is_made_longer_goes_on_as_if_it_had_been_so_from_the_start(cli: Run, recipe: Path) -> None:
    """The validation at its earlier end changes nothing of its weights."""
    fit = ["fit", "--config", recipe, *EVERY_THIRD, "--model.scheduler", "null"]
    cli(*fit, "--trainer.max_epochs", "4")
    cli(*fit)
    other = RUN.with_name("version_1")
    assert [step for step, _ in curve(other, "val/loss")] == [19]
    cli("fit", "--ckpt_path", other, "--trainer.max_epochs", "4")
    assert_same_state(RUN, other)
    assert curve(RUN, "val/loss") == curve(other, "val/loss")[1:]
