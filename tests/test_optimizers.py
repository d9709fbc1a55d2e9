"""Muon on filters, SGD on the rest."""

import pytest
import torch
from torch import nn

from fashion_lightning.networks import CNN
from fashion_lightning.optimizers import Muon, orthogonalized


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
    """As gradients are; rounding to bf16 then leaves its product with itself eigenvalues below zero."""
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
