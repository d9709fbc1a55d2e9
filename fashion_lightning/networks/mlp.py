"""A multilayer perceptron: dense layers only."""

from collections.abc import Sequence
from typing import Any

from torch import nn

KERAS_BATCH_NORM: dict[str, Any] = {"eps": 1e-3, "momentum": 0.01}
"""Keras' defaults. After a ReLU torch's own are unsteady: units that seldom fire have tiny, fast-changing
variances, and the validation loss jumps to twice its value."""


class MLP(nn.Sequential):
    """Flattened images, hidden dense layers with ReLU, one dense layer to the logits.

    Args:
        hidden: units of each hidden layer.
        dropout: probability of dropping a hidden unit, after each hidden layer; 0 for no dropout.
        batch_norm: normalize after each ReLU, the place it has in the Keras networks that this
            project grew out of.
        num_classes: logits.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (512, 128),
        dropout: float = 0.0,
        batch_norm: bool = False,
        num_classes: int = 10,
    ) -> None:
        super().__init__(nn.Flatten())
        units = [28 * 28, *hidden]
        for n_in, n_out in zip(units, hidden):
            self.extend(dense(n_in, n_out, dropout, batch_norm))
        self.append(nn.Linear(units[-1], num_classes))


def dense(n_in: int, n_out: int, dropout: float, batch_norm: bool) -> list[nn.Module]:
    """``(B, n_in)`` → ``(B, n_out)``: a hidden layer and what follows it."""
    layers: list[nn.Module] = [nn.Linear(n_in, n_out), nn.ReLU()]
    if batch_norm:
        layers.append(nn.BatchNorm1d(n_out, **KERAS_BATCH_NORM))
    if dropout:
        layers.append(nn.Dropout(dropout))
    return layers
