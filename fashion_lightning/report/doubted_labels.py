"""Images whose label is perhaps wrong, as the network sees it."""

import torch
from torch import Tensor


def doubted_labels(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Find doubtful labels by confident learning (Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068).

    The network is confident that an image shows a class if it gives it at least the probability that it gives to
    the images of that class on average. A label is doubted if the most probable of such classes is another one.

    Args:
        probabilities: ``(N, C)``.
        labels: ``(N,)`` int64.

    Returns:
        Places of images ``(K,)`` int64, from the one whose label has the lowest probability on, and the class ``(K,)``
        int64 that the network is confident of instead.
    """
    members = torch.nn.functional.one_hot(labels, probabilities.shape[1]).to(probabilities.dtype)
    # A class without an image has no threshold, and nothing is confidently of it.
    threshold = (members * probabilities).sum(dim=0) / members.sum(dim=0)
    confident = probabilities.where(probabilities >= threshold, -torch.inf)
    best, suggested = confident.max(dim=1)
    places = ((best > -torch.inf) & (suggested != labels)).nonzero().flatten()
    order = probabilities[places, labels[places]].argsort(stable=True)
    return places[order], suggested[places[order]]
