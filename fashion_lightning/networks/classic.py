"""Classic networks: convolutions with max pooling, then dense layers; or dense layers only."""

from collections.abc import Sequence
from typing import Any

from torch import nn

KERAS_BATCH_NORM: dict[str, Any] = {"eps": 1e-3, "momentum": 0.01}
"""Keras' defaults. torch's are unstable after a ReLU: units that seldom fire have tiny, fast-changing variances, and
the validation loss jumps to twice its value."""


class ConvNet(nn.Sequential):
    """Blocks of 3x3 convolutions with ReLU, each block ending in max pooling; then dense layers.

    Convolutions are unpadded, as in Keras by default: each removes a border of one pixel.

    Args:
        blocks: channels of each block's convolutions: ``[[32, 64]]`` pools once, after two convolutions;
            ``[[32], [64]]`` pools after each.
        hidden: units of each hidden dense layer.
        pool_dropout: probability of dropping a value after each pooling; 0 for no dropout.
        dropout: probability of dropping a hidden unit; 0 for no dropout.
        batch_norm: normalize after each ReLU.
        num_classes: number of logits.
        channels: 1 for grey images, 3 for colour.
        size: pixels of each edge of an image.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]] = ((32, 64),),
        hidden: Sequence[int] = (128,),
        pool_dropout: float = 0.0,
        dropout: float = 0.0,
        batch_norm: bool = False,
        num_classes: int = 10,
        channels: int = 1,
        size: int = 28,
    ) -> None:
        super().__init__()
        side = size
        for block in blocks:
            for width in block:
                self.extend([nn.Conv2d(channels, width, 3), nn.ReLU()])
                if batch_norm:
                    self.append(nn.BatchNorm2d(width, **KERAS_BATCH_NORM))
                channels, side = width, side - 2
            self.append(nn.MaxPool2d(2))
            side //= 2
            if pool_dropout:
                self.append(nn.Dropout(pool_dropout))
        self.append(nn.Flatten())
        units = [channels * side**2, *hidden]
        for n_in, n_out in zip(units, hidden):
            self.extend([nn.Linear(n_in, n_out), nn.ReLU()])
            if batch_norm:
                self.append(nn.BatchNorm1d(n_out, **KERAS_BATCH_NORM))
            if dropout:
                self.append(nn.Dropout(dropout))
        self.append(nn.Linear(units[-1], num_classes))


class MLP(ConvNet):
    """Flattened images, hidden dense layers with ReLU, one dense layer to the logits.

    Args:
        hidden: units of each hidden layer.
        dropout: probability of dropping a hidden unit, after each hidden layer; 0 for no dropout.
        batch_norm: normalize after each ReLU, as in the Keras networks that this project grew out of.
        num_classes: number of logits.
        channels: 1 for grey images, 3 for colour.
        size: pixels of each edge of an image.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (512, 128),
        dropout: float = 0.0,
        batch_norm: bool = False,
        num_classes: int = 10,
        channels: int = 1,
        size: int = 28,
    ) -> None:
        super().__init__((), hidden, 0.0, dropout, batch_norm, num_classes, channels, size)
