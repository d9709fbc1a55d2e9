"""A network for the tests that draws random numbers while it trains."""

from torch import nn


class WithDropout(nn.Sequential):
    """One convolution, batch norm, dropout, one dense layer."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 4, 3, stride=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(676, 10),
        )
