"""Schedules as functions of the fraction of the run."""

from pathlib import Path
from unittest import mock

import pytest
import torch
from lightning import Trainer
from torch import nn

from fashion_lightning.callbacks.range_test import groups_of_lr, smooth
from fashion_lightning.errors import UserError
from fashion_lightning.optimizers import Muon
from fashion_lightning.schedules import CosineDecay, LinearDecay, RunSchedule, steps_of_run
from tests.conftest import Run
from tests.test_tensorboard import curve


def rates(schedule: type[RunSchedule], total: int, stop_at: int = -1, **settings: float) -> list[float]:
    """The learning rate at each step and after the last, for a base rate of 1; saved and restored at one of them."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = schedule(optimizer, **settings)
    seen = []
    for step in range(total):
        if step == stop_at:
            state = scheduler.state_dict()
            scheduler = schedule(optimizer, **settings)
            scheduler.load_state_dict(state)
            optimizer.param_groups[0]["lr"] = state["_last_lr"][0]  # the optimizer restores it
        scheduler.total_steps = total
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [*seen, optimizer.param_groups[0]["lr"]]


def test_linear_decay_falls_from_the_full_rate_to_the_final_one() -> None:
    assert rates(LinearDecay, 4) == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert rates(LinearDecay, 4, final=0.5) == [1.0, 0.875, 0.75, 0.625, 0.5]


def test_warm_up_rises_from_zero() -> None:
    assert rates(LinearDecay, 8, warmup=0.5) == [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_cosine_decay_is_slow_at_both_ends() -> None:
    assert rates(CosineDecay, 4) == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


def test_a_saved_schedule_continues_to_the_bit() -> None:
    assert rates(CosineDecay, 10, stop_at=4) == rates(CosineDecay, 10)


def test_impossible_fractions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"warmup must be in \[0, 1\)"):
        LinearDecay(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), warmup=1.0)


def test_after_the_end_the_final_rate_stays() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = LinearDecay(optimizer, warmup=0.25, final=0.5)
    assert [schedule.factor(fraction) for fraction in (0.125, 0.25, 1.0, 1.5)] == [0.5, 1.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("max_steps", "max_epochs", "steps"),
    [(-1, 3, 12), (5, 3, 5), (50, 3, 12), (1, None, 1), (5, -1, 5), (-1, 1, 4), (-1, -1, None), (-1, None, None)],
)
def test_a_run_ends_at_the_first_of_its_limits(max_steps: int, max_epochs: int | None, steps: int | None) -> None:
    trainer = mock.Mock(Trainer, max_steps=max_steps, max_epochs=max_epochs)
    trainer.configure_mock(num_training_batches=7, accumulate_grad_batches=2)
    if steps is None:
        with pytest.raises(UserError, match="needs the length of the run"):
            steps_of_run(trainer)
    else:
        assert steps_of_run(trainer) == steps


@pytest.mark.slow
def test_the_preset_raises_the_rate_and_leaves_its_curve(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe, "--config", "presets/find_lr", "--trainer.max_epochs=20")
    assert "The loss is least at a learning rate of" in printed
    run = Path("tensorboard_logs/tiny_find_lr/version_0")
    assert (run / "range_test.png").read_bytes().startswith(b"\x89PNG")
    logged = dict(curve(run, "lr"))  # every fifth step, with the rate that it had
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
