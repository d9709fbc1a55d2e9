"""Networks: shapes, sizes, and how they begin."""

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from fashion_lightning.callbacks.layer_table import parameter_counts
from fashion_lightning.networks import CNN, MLP, ConvNet, WideResNet
from fashion_lightning.networks.cnn import convolution, halving_convolution
from fashion_lightning.networks.halving import Halving, HalvingConv2d


@pytest.mark.parametrize("widths", [(4, 8, 16), (4, 8), (4, 8, 8, 8)])
@pytest.mark.parametrize("pooled_groups", [0, 1, 3])
def test_the_cnn_gives_ten_logits_whatever_its_widths(widths: tuple[int, ...], pooled_groups: int) -> None:
    network = CNN(stem=4, widths=widths, pooled_groups=pooled_groups, single_groups=1)
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 2 * len(
        widths
    )  # the stem's among them
    assert network(torch.randn(3, 1, 28, 28)).shape == (3, 10)
    assert sum(isinstance(module, nn.MaxPool2d) for module in network.modules()) == min(pooled_groups, len(widths))


@pytest.mark.parametrize(
    ("network", "as_keras_prints_them"),
    [
        (MLP(hidden=[512, 128], dropout=0.2, batch_norm=True), "471,434   trainable: 470,154   not trainable: 1,280"),
        (ConvNet(blocks=[[32]], pool_dropout=0.2, hidden=[5408]), "parameters: 29,306,282   trainable: 29,306,282 "),
        (ConvNet(blocks=[[32, 64]], pool_dropout=0.25, hidden=[400], dropout=0.5), "parameters: 3,709,626 "),
    ],
    ids=["seed 004", "seed 001", "seed 002"],
)
def test_the_seeds_networks_have_the_parameters_that_keras_prints(
    network: nn.Module, as_keras_prints_them: str
) -> None:
    assert as_keras_prints_them in parameter_counts(network)


@pytest.mark.parametrize("blocks", [[[2]], [[2, 3]], [[2], [3]], [[2, 2], [3, 3]]])
def test_a_conv_net_pools_after_each_block(blocks: list[list[int]]) -> None:
    network = ConvNet(blocks, hidden=[5], pool_dropout=0.1, dropout=0.1, batch_norm=True)
    assert network(torch.randn(3, 1, 28, 28)).shape == (3, 10)
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in network) == len(blocks)


def test_an_mlp_without_hidden_layers_is_a_linear_classifier() -> None:
    assert [type(layer) for layer in MLP(hidden=[])] == [nn.Flatten, nn.Linear]


def test_a_convolution_first_passes_its_input_on() -> None:
    images = torch.randn(2, 3, 8, 8)
    assert torch.allclose(convolution(3, 5)(images)[:, :3], images, atol=1e-6)


def test_a_convolution_to_fewer_channels_passes_on_the_first_ones() -> None:
    images = torch.randn(2, 5, 8, 8)
    assert torch.allclose(convolution(5, 3)(images), images[:, :3], atol=1e-6)


@pytest.mark.parametrize(("c_in", "c_out"), [(3, 5), (5, 3)])
def test_a_halving_convolution_first_passes_on_the_mean_of_two_by_two_pixels(c_in: int, c_out: int) -> None:
    images = torch.randn(2, c_in, 13, 13)
    halved = halving_convolution(c_in, c_out)(images)
    passed = min(c_in, c_out)
    assert halved.shape == (2, c_out, 6, 6)
    assert torch.allclose(halved[:, :passed], avg_pool2d(images, 2)[:, :passed], atol=1e-6)


def test_gains_are_fixed_and_biases_are_learned() -> None:
    fixed = {name for name, p in CNN().named_parameters() if not p.requires_grad}
    assert fixed
    assert all(p.ndim == 1 for name, p in CNN().named_parameters() if name in fixed)


def test_a_wide_residual_network_is_as_large_as_its_paper_says() -> None:
    """Table 1 and section 3 of arXiv 1605.07146: WRN-28-10 has 36.5 million parameters, WRN-40-4 8.9 million."""
    sizes = [sum(p.numel() for p in WideResNet(*shape).parameters()) / 1e6 for shape in ((28, 10), (40, 4))]
    assert [round(size, 1) for size in sizes] == [36.5, 8.9]
    assert WideResNet(depth=10, width=1)(torch.randn(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize(("depth", "width"), [(12, 1), (4, 1), (16, 0)])
def test_a_wide_residual_network_of_no_such_depth_is_refused(depth: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"depth must be 6n \+ 4 .* not {depth} and {width}"):
        WideResNet(depth, width)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_the_cnn_has_the_activation_it_is_asked_for(activation: str) -> None:
    names = {type(module).__name__.lower() for module in CNN(2, [2, 4], activation=activation).modules()}  # type: ignore[arg-type]
    assert names & {"gelu", "relu"} == {activation}


def test_another_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="The activation 'tanh' is none of gelu, relu"):
        CNN(activation="tanh")  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [6, 13])
def test_the_gradients_of_a_halving_convolution_are_those_of_torch(side: int) -> None:
    """In float64 but for the choice between the two, so that nothing but the arithmetic's order is left."""
    layer = HalvingConv2d(3, 5).double()
    images = torch.randn(2, 3, side, side, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(layer(images).shape, dtype=torch.float64)
    torchs = torch.autograd.grad(layer(images), (images, layer.weight), grad)
    ours = torch.autograd.grad(Halving.apply(images, layer.weight), (images, layer.weight), grad)
    assert all(torch.allclose(ours, torchs) for ours, torchs in zip(ours, torchs, strict=True))


@pytest.mark.parametrize("channels_last", [False, True])
def test_in_training_a_halving_convolution_has_torchs_gradients_in_bf16(channels_last: bool) -> None:
    layer = HalvingConv2d(32, 8)
    images = torch.randn(7, 32, 13, 13, dtype=torch.bfloat16)
    images = images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    images.requires_grad_()
    gradients = []
    for _ in (layer.train(), layer.eval()):
        with torch.autocast("cpu", torch.bfloat16):
            loss = layer(images).float().square().sum()
        gradients.append(torch.autograd.grad(loss, (images, layer.weight)))
    ours, torchs = gradients
    assert all(
        torch.allclose(*pair, rtol=0.02, atol=0.02 * pair[1].abs().max().item())
        for pair in zip(ours, torchs, strict=True)
    )


def test_in_bf16_a_halving_convolution_trains_by_a_matrix_product_and_else_is_torchs() -> None:
    layer, images = HalvingConv2d(32, 8), torch.randn(2, 32, 6, 6)

    def by(images: torch.Tensor) -> str:
        with torch.autocast("cpu", torch.bfloat16):
            return type(layer(images).grad_fn).__name__

    assert by(images.bfloat16()) == "HalvingBackward"
    assert by(images) == "ConvolutionBackward0"
    layer.eval()
    assert by(images.bfloat16()) == "ConvolutionBackward0"
