"""The default network: a small convolutional network modelled on airbench."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, pad

KERNEL, STRIDE, PADDING = 4, 2, 1
"""Of the convolutions that halve the resolution."""


class CNN(nn.Module):
    """A convolution at full resolution, groups of one or two convolutions, global average pooling, one dense layer.

    Follows https://github.com/KellerJordan/cifar10-airbench (arXiv 2404.00498), without its whitening first layer,
    which does not help on grey images. The first layers keep full resolution.

    Args:
        stem: channels of the first convolution.
        widths: channels of each group; each group halves the resolution (26 → 13 → 6 → 3) if the edges of its input
            have at least 4 pixels.
        pooled_groups: how many of the first groups halve the resolution by max pooling; the others use a
            convolution of stride 2, which needs less than half of the arithmetic.
        single_groups: how many of the first groups have one convolution instead of two.
        activation: ``gelu``, or ``relu``, with which a training step takes a tenth less time.
        num_classes: number of logits.
        logit_scale: factor of the logits; keeps them small at the start of training.
        channels: 1 for grey images, 3 for colour.
        size: pixels of each edge of an image.
    """

    def __init__(
        self,
        stem: int = 16,
        widths: Sequence[int] = (32, 128, 128),
        pooled_groups: int = 3,
        single_groups: int = 0,
        activation: Literal["gelu", "relu"] = "gelu",
        num_classes: int = 10,
        logit_scale: float = 0.5,
        channels: int = 1,
        size: int = 28,
    ) -> None:
        super().__init__()
        make_activation = {"gelu": nn.GELU, "relu": nn.ReLU}[activation]
        self.stem = nn.Sequential(nn.Conv2d(channels, stem, 3, bias=False), norm(stem), make_activation())
        filters = [stem, *widths]
        self.groups = nn.Sequential()
        for number, (c_in, c_out) in enumerate(zip(filters, widths)):
            # A group halves only edges of at least 4 pixels.
            shape = ((size - 2) >> number >= 4, number < pooled_groups, number < single_groups)
            self.groups.append(Group(c_in, c_out, *shape, make_activation))
        self.head = nn.Linear(filters[-1], num_classes, bias=False)
        nn.init.normal_(self.head.weight)
        self.logit_scale = logit_scale

    def forward(self, images: Tensor) -> Tensor:
        """``(B, channels, size, size)`` → logits ``(B, num_classes)``."""
        features = self.groups(self.stem(images))  # (B, C, 3, 3) if size is 28
        # Not mean(): its gradient has strides of 0, which slow the layers before it by 4 % of a step.
        average = avg_pool2d(features, features.shape[2:]).flatten(1)
        logits: Tensor = self.head(average) * self.logit_scale
        return logits


class Group(nn.Sequential):
    """``(B, c_in, H, W)`` → ``(B, c_out, H / 2, W / 2)``; ``(B, c_out, H, W)`` without ``halves``."""

    def __init__(
        self, c_in: int, c_out: int, halves: bool, pools: bool, single: bool, make_activation: Callable[[], nn.Module]
    ) -> None:
        first = HalvingConv2d(c_in, c_out) if halves and not pools else convolution(c_in, c_out)
        # Pool before norm and activation, which then have a quarter of the work.
        pooling = [nn.MaxPool2d(2)] if halves and pools else []
        second = [] if single else [convolution(c_out, c_out), norm(c_out), make_activation()]
        super().__init__(first, *pooling, norm(c_out), make_activation(), *second)


def convolution(c_in: int, c_out: int) -> nn.Conv2d:
    """Return a 3x3 convolution whose first output channels start as copies of its input channels (Dirac)."""
    layer = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[:c_in])
    return layer


class HalvingConv2d(nn.Conv2d):
    """``(B, c_in, H, W)`` → ``(B, c_out, H / 2, W / 2)``: an ``nn.Conv2d`` of 4x4, stride 2, padding 1, without bias.

    In training on CPUs in bf16, from 32 channels on, computes the weight gradient as one matrix product. With the copy
    of the patches, this takes 0.6 to 0.9 of the time of oneDNN, which reaches less than half of the peak FLOP/s there;
    a training step of the recipe cnn takes 7.5 % less CPU time.

    Its first output channels start as means over 2x2 pixels of its input channels.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, KERNEL, STRIDE, PADDING, bias=False)
        with torch.no_grad():
            nn.init.zeros_(self.weight[:c_in])
            for channel in range(min(c_in, c_out)):
                self.weight[channel, channel, 1:3, 1:3] = 0.25

    def forward(self, images: Tensor) -> Tensor:
        is_slow = self.training and self.in_channels >= 32 and images.dtype == torch.bfloat16
        if is_slow and images.device.type == "cpu" and not torch.compiler.is_compiling():
            return Halving.apply(images, self.weight.to(images.dtype))  # type: ignore[no-any-return]
        return super().forward(images)


class Halving(torch.autograd.Function):
    """The convolution of ``HalvingConv2d``, with the weight gradient as one matrix product."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        return conv2d(images, weight, stride=STRIDE, padding=PADDING)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        images, weight = ctx.saved_tensors
        two = [STRIDE, STRIDE], [PADDING, PADDING]
        of_images, _, _ = torch.ops.aten.convolution_backward(
            grad, images, weight, None, *two, [1, 1], False, [0, 0], 1, [True, False, False]
        )
        padded = pad(images.permute(0, 2, 3, 1), (0, 0, PADDING, PADDING, PADDING, PADDING))
        patches = padded.unfold(1, KERNEL, STRIDE).unfold(2, KERNEL, STRIDE)  # (B, H / 2, W / 2, c_in, 4, 4)
        c_in, c_out = images.size(1), grad.size(1)
        rows = patches.permute(0, 1, 2, 4, 5, 3).reshape(-1, KERNEL * KERNEL * c_in)  # as laid out in memory
        product = grad.permute(0, 2, 3, 1).reshape(-1, c_out).T @ rows
        return of_images, product.view(c_out, KERNEL, KERNEL, c_in).permute(0, 3, 1, 2)


def norm(channels: int) -> nn.BatchNorm2d:
    """Return batch norm with a fixed gain of 1, whose running statistics adapt within a few steps."""
    layer = nn.BatchNorm2d(channels, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer
