"""The learning-rate range test."""

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fashion_lightning.callbacks.range_test import groups_of_lr, smooth
from fashion_lightning.errors import UserError
from fashion_lightning.optimizers import Muon
from tests.conftest import Run

RUN = Path("tensorboard_logs/tiny/version_0")


@pytest.mark.slow
def test_the_preset_raises_the_rate_and_leaves_its_curve(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe, "--config", "presets/find_lr", "--trainer.max_epochs=20")
    assert "The loss is least at a learning rate of" in printed
    assert (RUN / "range_test.png").read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(RUN))
    events.Reload()
    logged = {event.step: event.value for event in events.Scalars("lr")}  # every fifth step, with the rate that it had
    assert logged[5 - 1] == pytest.approx(1e-5 * 10 ** (5 * 4 / 99))
    assert sorted(logged.values()) == list(logged.values())


def test_only_the_rates_that_lr_decides_are_raised() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(2 * 26 * 26, 10))
    (filters,) = groups_of_lr(Muon(network.parameters()))
    assert [p.ndim for p in filters["params"]] == [4]
    assert len(groups_of_lr(torch.optim.AdamW(network.parameters()))) == 1
    with pytest.raises(UserError, match="The lr of Muon decides nothing in this network"):
        groups_of_lr(Muon(torch.nn.Linear(28, 10).parameters()))


def test_the_smoothed_loss_is_least_where_the_loss_is() -> None:
    losses = [2 + abs(step - 40) / 20 for step in range(100)]
    smoothed = smooth(losses)
    assert abs(smoothed.index(min(smoothed)) - 40) <= 1
    assert smooth([2.0] * 30) == pytest.approx([2.0] * 30)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--trainer.callbacks.init_args.steps=5"], "at least 30 steps"),
        (["--trainer.callbacks.init_args.lowest=2"], "needs rates 0 < lowest < highest"),
        (["--trainer.accumulate_grad_batches=2"], "leave out accumulate_grad_batches"),
    ],
)
def test_what_cannot_be_tested_is_one_line(cli: Run, recipe: Path, typed: list[str], message: str) -> None:
    assert message in cli("fit", "--config", recipe, "--config", "presets/find_lr", *typed, exits=2)
    assert not RUN.exists()
