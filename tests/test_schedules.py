"""Schedules as functions of the fraction of the run."""

import pytest
import torch
from torch import nn

from fashion_lightning.schedules import CosineDecay, LinearDecay, RunSchedule


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
