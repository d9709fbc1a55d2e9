"""A strided convolution with a faster bf16 weight gradient on CPUs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

KERNEL, STRIDE, PADDING = 4, 2, 1


class HalvingConv2d(nn.Conv2d):
    """``(B, c_in, H, W)`` → ``(B, c_out, H / 2, W / 2)``: an ``nn.Conv2d`` of 4x4, stride 2, padding 1, without bias.

    oneDNN computes the gradient of such weights in bf16 at less than half of the machine's rate. One matrix product
    needs 0.6 to 0.9 of that time from 32 channels on, including the copy of the patches: a step of the recipe cnn
    takes 7.5 % less processor time.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, KERNEL, STRIDE, PADDING, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        is_slow = self.training and self.in_channels >= 32 and images.dtype == torch.bfloat16
        if is_slow and images.device.type == "cpu" and not torch.compiler.is_compiling():
            return Halving.apply(images, self.weight.to(images.dtype))  # type: ignore[no-any-return]
        return super().forward(images)


class Halving(torch.autograd.Function):
    """The convolution, with a backward pass of its own."""

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
        return of_images, weight_gradient(images, grad)


def weight_gradient(images: Tensor, grad: Tensor) -> Tensor:
    """Compute ``(c_out, c_in, 4, 4)`` from the convolution's input and the gradient of its output."""
    padded = pad(images.permute(0, 2, 3, 1), (0, 0, PADDING, PADDING, PADDING, PADDING))
    patches = padded.unfold(1, KERNEL, STRIDE).unfold(2, KERNEL, STRIDE)  # (B, H / 2, W / 2, c_in, 4, 4)
    c_in, c_out = images.size(1), grad.size(1)
    rows = patches.permute(0, 1, 2, 4, 5, 3).reshape(-1, KERNEL * KERNEL * c_in)  # in the order of memory
    product = grad.permute(0, 2, 3, 1).reshape(-1, c_out).T @ rows
    return product.view(c_out, KERNEL, KERNEL, c_in).permute(0, 3, 1, 2)
