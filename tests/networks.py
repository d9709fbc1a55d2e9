"""Networks for the tests."""

import torch
from torch import Tensor, nn


class WithDropout(nn.Sequential):
    """One convolution, batch norm, dropout, one dense layer: draws random numbers while it trains."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 4, 3, stride=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(676, 10),
        )


class FallsOnce(WithDropout):
    """Negates its logits in evaluations after 11 to 20 training steps: its accuracy falls, then rises again."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        if self.training:
            return logits
        steps = self.get_buffer("1.num_batches_tracked")
        return torch.where((steps > 10).logical_and(steps <= 20), -logits, logits)


class Linear(nn.Sequential):
    """The smallest classifier, for networks that misbehave in one way."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(784, 10))


class FailsToRun(nn.Module):
    """Raises when it is used."""

    def forward(self, images: Tensor) -> Tensor:
        raise KeyError("by design")


class FailsLater(Linear):
    """Raises at its fourth training step."""

    steps = 0

    def forward(self, images: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps == 4:
            raise RuntimeError("by design (step 4)")
        return super().forward(images)  # type: ignore[no-untyped-call,no-any-return]


class InfiniteInValidation(Linear):
    """Trains normally, and returns infinite logits in evaluation mode."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        return logits if self.training else logits * torch.inf


class BranchesByValue(Linear):
    """Branches on a value, so it has no fixed graph."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        return logits if logits.sum() > 0 else -logits


class NotInONNX(Linear):
    """Uses an operation that ONNX lacks."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.special.bessel_j0(super().forward(images))  # type: ignore[no-untyped-call,no-any-return]


class EveryOperation(nn.Module):
    """Has each layer that an exported page knows, and the arithmetic between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 5, (3, 5), stride=(2, 1), padding=(1, 2)), nn.BatchNorm2d(5), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(5, 5, 3, padding=1, bias=False), nn.SiLU(), nn.Dropout(0.5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1), nn.GELU(), nn.AvgPool2d((2, 3), stride=(1, 2)))
        self.hidden = nn.Sequential(nn.Flatten(), nn.LazyLinear(7), nn.BatchNorm1d(7), nn.Tanh())
        self.head = nn.Linear(12, 10, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        second = self.second(first)
        mixed = (first - second) * second / (first + 2.5) + second * 3 - 1
        pooled = self.pool(mixed)
        kept = pooled[:, :, 1:5].flip(3)
        hidden = torch.cat([self.hidden(kept), torch.sigmoid(pooled.mean(dim=(2, 3)))], dim=1)
        return self.head(hidden)  # type: ignore[no-any-return]
