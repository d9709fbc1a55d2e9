"""Networks: shapes, sizes, and how they begin."""

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from fashion_lightning.networks import CNN, MLP, ConvNet, WideResNet
from fashion_lightning.networks.cnn import Halving, HalvingConv2d, convolution

IMAGES = torch.randn(3, 1, 28, 28)


def count(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


@pytest.mark.parametrize("widths", [(4, 8), (4, 8, 8, 8)])
@pytest.mark.parametrize("pooled_groups", [0, 1, 3])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_the_cnn_has_the_layers_it_is_asked_for(widths: tuple[int, ...], pooled_groups: int, activation: str) -> None:
    network = CNN(4, widths, pooled_groups, single_groups=1, activation=activation)  # type: ignore[arg-type]
    assert network(IMAGES).shape == (3, 10)
    assert count(network, nn.Conv2d) == 2 * len(widths)  # the stem's among them
    assert count(network, nn.MaxPool2d) == min(pooled_groups, len(widths))
    assert {count(network, nn.GELU), count(network, nn.ReLU)} == {0, 2 * len(widths)}
    assert bool(count(network, nn.ReLU)) == (activation == "relu")
    fixed = [p for p in network.parameters() if not p.requires_grad]  # the gains of batch norm
    assert len(fixed) == count(network, nn.BatchNorm2d)
    assert all(p.ndim == 1 for p in fixed)


@pytest.mark.parametrize(
    ("network", "as_keras_counts"),
    [
        (MLP(hidden=[512, 128], dropout=0.2, batch_norm=True), (471_434, 470_154)),
        (ConvNet(blocks=[[32]], pool_dropout=0.2, hidden=[5408]), (29_306_282, 29_306_282)),
        (ConvNet(blocks=[[32, 64]], pool_dropout=0.25, hidden=[400], dropout=0.5), (3_709_626, 3_709_626)),
    ],
    ids=["original 004", "original 001", "original 002"],
)
def test_the_originals_networks_have_the_parameters_that_keras_prints(
    network: nn.Module, as_keras_counts: tuple[int, int]
) -> None:
    """All, and the trainable ones; Keras counts running means and variances too."""
    in_all = sum(value.numel() for value in network.state_dict().values() if value.is_floating_point())
    trainable = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert (in_all, trainable) == as_keras_counts


@pytest.mark.parametrize("blocks", [[[2]], [[2, 3]], [[2, 2], [3, 3]]])
def test_a_conv_net_pools_after_each_block(blocks: list[list[int]]) -> None:
    network = ConvNet(blocks, hidden=[5], pool_dropout=0.1, dropout=0.1, batch_norm=True)
    assert network(IMAGES).shape == (3, 10)
    assert count(network, nn.MaxPool2d) == len(blocks)


@pytest.mark.parametrize(("c_in", "c_out"), [(3, 5), (5, 3)])
def test_convolutions_first_pass_their_input_on_or_its_mean_over_two_by_two_pixels(c_in: int, c_out: int) -> None:
    images, passed = torch.randn(2, c_in, 13, 13), min(c_in, c_out)
    assert torch.allclose(convolution(c_in, c_out)(images)[:, :passed], images[:, :passed], atol=1e-6)
    halved = HalvingConv2d(c_in, c_out)(images)
    assert halved.shape == (2, c_out, 6, 6)
    assert torch.allclose(halved[:, :passed], avg_pool2d(images, 2)[:, :passed], atol=1e-6)


@pytest.mark.slow
def test_a_wide_residual_network_is_as_large_as_its_paper_says() -> None:
    """Table 1 and section 3 of arXiv 1605.07146: WRN-28-10 has 36.5 million parameters, WRN-40-4 8.9 million."""
    sizes = [sum(p.numel() for p in WideResNet(*shape).parameters()) / 1e6 for shape in ((28, 10), (40, 4))]
    assert [round(size, 1) for size in sizes] == [36.5, 8.9]
    assert WideResNet(depth=10, width=1)(IMAGES).shape == (3, 10)


@pytest.mark.parametrize(("depth", "width"), [(12, 1), (4, 1), (16, 0)])
def test_a_wide_residual_network_of_no_such_depth_is_refused(depth: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"depth must be 6n \+ 4 .* not {depth} and {width}"):
        WideResNet(depth, width)


@pytest.mark.parametrize("side", [6, 13])
def test_the_gradients_of_a_halving_convolution_are_those_of_torch(side: int) -> None:
    """In float64, so that nothing but the order of the arithmetic is left."""
    layer = HalvingConv2d(3, 5).double()
    images = torch.randn(2, 3, side, side, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(layer(images).shape, dtype=torch.float64)
    torchs = torch.autograd.grad(layer(images), (images, layer.weight), grad)
    ours = torch.autograd.grad(Halving.apply(images, layer.weight), (images, layer.weight), grad)
    assert all(torch.allclose(a, b) for a, b in zip(ours, torchs, strict=True))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_in_bf16_a_halving_convolution_trains_by_a_matrix_product_with_torchs_gradients(
    memory_format: torch.memory_format,
) -> None:
    layer = HalvingConv2d(32, 8)
    images = torch.randn(7, 32, 13, 13).to(torch.bfloat16, memory_format=memory_format).requires_grad_()
    kinds, gradients = [], []
    for training in (True, False):
        with torch.autocast("cpu", torch.bfloat16):
            output = layer.train(training)(images)
        kinds.append(type(output.grad_fn).__name__)
        gradients.append(torch.autograd.grad(output.float().square().sum(), (images, layer.weight)))
    assert kinds == ["HalvingBackward", "ConvolutionBackward0"]
    for ours, torchs in zip(*gradients, strict=True):
        assert torch.allclose(ours, torchs, rtol=0.02, atol=0.02 * torchs.abs().max().item())
