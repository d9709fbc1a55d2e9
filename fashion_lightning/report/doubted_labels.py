"""Images whose label is perhaps wrong, as the network sees it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DoubtedLabels:
    """Candidates, from the one whose label has the lowest probability on."""

    places: Tensor
    """Which of the images they are, ``(K,)`` int64."""
    suggested: Tensor
    """The class that the network is confident of instead, ``(K,)`` int64."""


def doubted_labels(probabilities: Tensor, labels: Tensor) -> DoubtedLabels:
    """Confident learning (Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068).

    The network is confident that an image shows a class if it gives it at least the probability that it gives to
    the images of that class on average. A label is doubted where the most probable of such classes is another one.

    Args:
        probabilities: ``(N, C)``.
        labels: ``(N,)`` int64.
    """
    classes = probabilities.shape[1]
    members = torch.nn.functional.one_hot(labels, classes).to(probabilities.dtype)
    # A class without an image has no threshold, and nothing is confidently of it.
    threshold = (members * probabilities).sum(dim=0) / members.sum(dim=0)
    confident = probabilities.where(probabilities >= threshold, -torch.inf)
    best, suggested = confident.max(dim=1)
    places = ((best > -torch.inf) & (suggested != labels)).nonzero().flatten()
    order = probabilities[places, labels[places]].argsort(stable=True)
    return DoubtedLabels(places[order], suggested[places[order]])
