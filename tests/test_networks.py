"""Networks: shapes, sizes, and how they begin."""

import pytest
import torch

from fashion_lightning.networks import CNN
from fashion_lightning.networks.cnn import convolution


@pytest.mark.parametrize("widths", [(4, 8, 16), (4, 8), (4, 8, 8, 8)])
def test_the_cnn_gives_ten_logits_whatever_its_widths(widths: tuple[int, ...]) -> None:
    network = CNN(stem=4, widths=widths)
    assert network(torch.randn(3, 1, 28, 28)).shape == (3, 10)


def test_a_convolution_first_passes_its_input_on() -> None:
    images = torch.randn(2, 3, 8, 8)
    assert torch.allclose(convolution(3, 5)(images)[:, :3], images, atol=1e-6)


def test_a_convolution_to_fewer_channels_passes_on_the_first_ones() -> None:
    images = torch.randn(2, 5, 8, 8)
    assert torch.allclose(convolution(5, 3)(images), images[:, :3], atol=1e-6)


def test_gains_are_fixed_and_biases_are_learned() -> None:
    fixed = {name for name, p in CNN().named_parameters() if not p.requires_grad}
    assert fixed
    assert all(p.ndim == 1 for name, p in CNN().named_parameters() if name in fixed)
