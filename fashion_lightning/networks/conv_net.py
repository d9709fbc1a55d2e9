"""A classic convolutional network: convolutions, max pooling, dense layers."""

from collections.abc import Sequence

from torch import nn

from fashion_lightning.networks.mlp import KERAS_BATCH_NORM, dense


class ConvNet(nn.Sequential):
    """Blocks of 3x3 convolutions with ReLU, each block ending in max pooling; then dense layers.

    Convolutions have no padding: each takes a border of one pixel off, as Keras' do by default.

    Args:
        blocks: channels of the convolutions of each block: ``[[32, 64]]`` is two convolutions and one
            pooling, ``[[32], [64]]`` a pooling after each.
        hidden: units of each hidden dense layer.
        pool_dropout: probability of dropping a value after each pooling; 0 for no dropout.
        dropout: probability of dropping a hidden unit; 0 for no dropout.
        batch_norm: normalize after each ReLU.
        num_classes: logits.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]] = ((32, 64),),
        hidden: Sequence[int] = (128,),
        pool_dropout: float = 0.0,
        dropout: float = 0.0,
        batch_norm: bool = False,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        channels, side = 1, 28
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
            self.extend(dense(n_in, n_out, dropout, batch_norm))
        self.append(nn.Linear(units[-1], num_classes))
