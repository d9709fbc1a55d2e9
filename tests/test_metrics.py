"""What validation and test measure."""

import pytest
import torch

from fashion_lightning.metrics import Evaluation


def test_a_first_batch_without_mistakes_does_not_merge_top5_with_accuracy() -> None:
    evaluation = Evaluation()
    right, second_choice = torch.eye(10) * 5, torch.eye(10).roll(1, 1) * 5 + torch.eye(10) * 3
    for logits in (right, second_choice):
        evaluation.update(logits, torch.arange(10), torch.arange(10))
    figures = evaluation.results()
    assert figures["accuracy"] == pytest.approx(0.5)
    assert figures["top5"] == pytest.approx(1.0)


def test_a_loss_that_is_not_a_number_counts_as_infinite() -> None:
    evaluation = Evaluation()
    evaluation.update(torch.full((2, 10), torch.nan), torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert evaluation.results()["loss"] == torch.inf


def test_what_the_network_said_of_each_image_is_kept_in_the_order_of_the_images() -> None:
    evaluation = Evaluation()
    logits = torch.randn(5, 10)
    for indices in ([4, 1], [0, 3], [2]):
        evaluation.update(logits[indices], torch.tensor(indices), torch.tensor(indices))
    figures = evaluation.results()
    assert torch.equal(figures["logits"], logits)
    assert figures["labels"].tolist() == figures["indices"].tolist() == [0, 1, 2, 3, 4]
    evaluation.reset()
    evaluation.update(logits[:1], torch.tensor([7]), torch.tensor([9]))
    assert evaluation.results()["indices"].tolist() == [9]
