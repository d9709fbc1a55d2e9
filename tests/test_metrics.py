"""What validation and test measure."""

import pytest
import torch

from fashion_lightning.metrics import METRICS, TRAIN_METRICS, Evaluation, TrainingMetrics, direction


def test_the_figures_of_an_evaluation_are_counted_over_its_images() -> None:
    draws = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(500, 10, generator=draws), torch.randint(10, (500,), generator=draws)
    evaluation = Evaluation()
    for places in torch.split(torch.randperm(500, generator=draws), 120):
        evaluation.update(logits[places], labels[places], places)
    figures = evaluation.results()
    ranking, confusion = logits.argsort(dim=1, descending=True), torch.zeros(10, 10)
    for true, predicted in zip(labels, ranking[:, 0], strict=True):
        confusion[true, predicted] += 1
    right, of_class, predictions = confusion.diag(), confusion.sum(dim=1), confusion.sum(dim=0)
    expected = {
        "loss": -logits.log_softmax(dim=1)[torch.arange(500), labels].mean(),
        "accuracy": right.sum() / 500,
        "top5": (ranking[:, :5] == labels[:, None]).sum() / 500,
        "precision": right / predictions,
        "recall": right / of_class,
        "f1": 2 * right / (predictions + of_class),
        "confusion": confusion,
    }
    for name, value in expected.items():
        torch.testing.assert_close(figures[name].float(), value, msg=name)


def test_training_is_measured_by_sums_over_images_that_can_be_kept() -> None:
    metrics, continued = TrainingMetrics(), TrainingMetrics()
    metrics.update(3.0, 2, 4)
    continued.update(9.0, 9, 9)
    continued.load_sums(metrics.sums())
    continued.update(1.0, 1, 4)
    assert continued.sums().tolist() == [4.0, 3.0, 8.0]
    assert {name: value.item() for name, value in continued.compute().items()} == dict(
        zip(TRAIN_METRICS, (0.5, 0.375), strict=True)
    )


def test_less_of_a_loss_is_better_and_more_of_anything_else() -> None:
    assert {name for name in (*METRICS, "val/ece") if direction(name) == "min"} == {"val/loss", "train/loss", "val/ece"}


@pytest.mark.parametrize("logit", [torch.nan, -torch.inf])
def test_a_loss_that_is_not_a_number_counts_as_infinite(logit: float) -> None:
    evaluation = Evaluation()
    evaluation.update(torch.eye(10)[:2].where(torch.eye(10)[:2] == 0, logit), torch.arange(2), torch.arange(2))
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
