"""Muon on filters, SGD on the rest; schedules as functions of the fraction of the run."""

from pathlib import Path
from unittest import mock

import pytest
import torch
from lightning import Trainer
from torch import nn

from fashion_lightning.callbacks.range_test import groups_of_lr, smooth
from fashion_lightning.errors import UserError
from fashion_lightning.networks import CNN
from fashion_lightning.optimizers import Muon, orthogonalized
from fashion_lightning.schedules import CosineDecay, LinearDecay, RunSchedule, steps_of_run
from tests.conftest import Run
from tests.test_tensorboard import curve


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("shape", [(8, 20), (20, 8)])
def test_orthogonalized_is_the_quintic_of_newton_and_schulz(
    steps: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fashion_lightning.optimizers.bf16_is_native", lambda device: False)
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = matrix / matrix.norm()
    for _ in range(steps):
        gram = expected @ expected.T
        expected = 3.4445 * expected - 4.7750 * gram @ expected + 2.0315 * gram @ gram @ expected
    torch.testing.assert_close(orthogonalized(matrix, steps), expected, rtol=1e-4, atol=1e-5)


def test_filters_dense_layers_and_biases_have_learning_rates_of_their_own() -> None:
    network = CNN()
    optimizer = Muon(network.parameters(), lr=0.1, momentum=0.5, dense_lr=0.2, bias_lr=0.3, newton_schulz_steps=4)
    groups = [{**group, "params": {p.ndim for p in group["params"]}} for group in optimizer.param_groups]
    same = {"newton_schulz_steps": 4}
    assert groups == [
        {"params": {4}, "lr": 0.1, "momentum": 0.5, "muon": True, **same},
        {"params": {2}, "lr": 0.2, "momentum": 0.9, "muon": False, **same},
        {"params": {1}, "lr": 0.3, "momentum": 0.9, "muon": False, **same},
    ]
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(trained) == sum(p.requires_grad for p in network.parameters())


def test_a_filter_bank_keeps_its_norm_and_moves_by_lr_relative_to_it() -> None:
    filters = nn.Parameter(torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(0)))
    optimizer = Muon([filters], lr=0.1)
    filters.grad = torch.randn_like(filters)
    before = filters.detach().clone()
    optimizer.step()
    rescaled = before * 16**0.5 / before.norm()
    assert torch.isclose((filters - rescaled).norm(), 0.1 * torch.tensor(16.0).sqrt(), rtol=0.2)


def test_everything_but_filters_is_trained_by_nesterov_sgd() -> None:
    ours, torchs = (nn.Linear(5, 3, dtype=torch.float64) for _ in range(2))
    torchs.load_state_dict(ours.state_dict())
    muon = Muon(ours.parameters(), dense_lr=0.1, bias_lr=0.1, sgd_momentum=0.8)
    sgd = torch.optim.SGD(torchs.parameters(), lr=0.1, momentum=0.8, nesterov=True)
    for step in range(3):
        for net, optimizer in ((ours, muon), (torchs, sgd)):
            optimizer.zero_grad()
            inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
            net(inputs).square().sum().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, torchs.weight)
    assert torch.allclose(ours.bias, torchs.bias)


def test_filters_of_zeros_are_trained() -> None:
    filters = nn.Parameter(torch.zeros(4, 2, 3, 3))
    filters.grad = torch.randn_like(filters)
    Muon([filters]).step()
    assert filters.isfinite().all()
    assert filters.any()


@pytest.mark.parametrize("steps", [3, 4, 5, 8])
@pytest.mark.parametrize("native", [False, True])
def test_orthogonalized_has_singular_values_near_one_also_where_few_directions_carry_the_matrix(
    steps: int, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients are like that; rounded to bf16, their Gram matrix has eigenvalues below zero."""
    monkeypatch.setattr("fashion_lightning.optimizers.bf16_is_native", lambda device: native)
    draws = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(64, 1, generator=draws), dim=0)
    other = torch.nn.functional.normalize(torch.randn(1, 512, generator=draws))
    noise = torch.randn(64, 512, generator=draws)
    assert torch.linalg.svdvals(orthogonalized(direction @ other + 1e-2 * noise / 512**0.5, steps)).max() < 1.4
    for matrix in (noise, noise.T):
        values = torch.linalg.svdvals(orthogonalized(matrix, steps))
        assert values.max() < 1.4
        assert steps < 4 or values.min() > 0.5


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
    ("max_steps", "max_epochs", "done", "steps"),
    [
        *((-1, 3, (0, 0), 12), (5, 3, (0, 0), 5), (50, 3, (0, 0), 12), (1, None, (0, 0), 1), (5, -1, (0, 0), 5)),
        *((-1, 1, (0, 0), 4), (-1, -1, (0, 0), None), (-1, None, (0, 0), None)),
        *((-1, 3, (1, 4), 12), (-1, 3, (1, 9), 17)),  # the first epoch had 4 steps, or 9
    ],
)
def test_a_run_ends_at_the_first_of_its_limits(
    max_steps: int, max_epochs: int | None, done: tuple[int, int], steps: int | None
) -> None:
    trainer = mock.Mock(Trainer, max_steps=max_steps, max_epochs=max_epochs)
    trainer.configure_mock(
        num_training_batches=7,
        accumulate_grad_batches=2,
        current_epoch=done[0],
        global_step=done[1],
        fit_loop=mock.Mock(**{"epoch_loop.batch_progress.is_last_batch": True}),
    )
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
    with pytest.raises(UserError, match="No parameter of this network uses the lr of Muon"):
        groups_of_lr(Muon(torch.nn.Linear(28, 10).parameters()))


def test_the_smoothed_loss_is_least_where_the_loss_is() -> None:
    losses = [2 + abs(step - 40) / 20 for step in range(100)]
    smoothed = smooth(losses)
    assert abs(smoothed.index(min(smoothed)) - 40) <= 1
    assert smooth([2.0] * 30) == pytest.approx([2.0] * 30)
