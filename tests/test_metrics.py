"""What validation and test measure: figures, calibration, and what a classifier cannot know."""

import json

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from fashion_lightning import load
from fashion_lightning.data.classes import Limits, in_words, likely_names
from fashion_lightning.metrics import (
    BINS,
    HOTTEST,
    METRICS,
    TRAIN_METRICS,
    Evaluation,
    TrainingMetrics,
    calibration,
    direction,
    find_limits,
    fit_temperature,
    is_at_an_end,
    likely,
)
from fashion_lightning.report.intervals import Accuracy
from fashion_lightning.runs.checkpoint import find_checkpoint
from tests.conftest import Run


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
    continued.reset()
    continued.update(*metrics.sums)
    continued.update(1.0, 1, 4)
    assert continued.sums.tolist() == [4.0, 3.0, 8.0]
    assert {name: value.item() for name, value in continued.compute().items()} == dict(
        zip(TRAIN_METRICS, (0.5, 0.375), strict=True)
    )


def test_training_is_counted_in_float32_whatever_the_precision_of_the_network() -> None:
    torch.nn.Module.to(metrics := TrainingMetrics(), torch.bfloat16)  # as Lightning does for bf16-true
    metrics.update(300.0, 300, 300)
    metrics.update(1.0, 1, 1)
    assert metrics.sums.tolist() == [301, 301, 301]


def test_less_of_a_loss_is_better_and_more_of_anything_else() -> None:
    names = (*METRICS, "val/ece", "val/error")
    assert {name for name in names if direction(name) == "min"} == {"val/loss", "train/loss", "val/ece", "val/error"}


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


def drawn(count: int, scale: float) -> tuple[Tensor, Tensor]:
    """Draw labels from the softmax of logits; return the logits times a scale, and the labels."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(count, 10, generator=generator)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    return scale * logits, labels


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_what_made_the_network_too_sure_or_not_sure_enough(scale: float) -> None:
    logits, labels = drawn(20_000, scale)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(scale, rel=0.03)
    assert not is_at_an_end(temperature)
    before, after = calibration(logits, labels), calibration(logits, labels, temperature)
    assert after.ece < 0.015
    assert scale == 1 or before.ece > 5 * after.ece
    for other in (0.98 * temperature, 1.02 * temperature):
        assert calibration(logits, labels, other).loss > after.loss


def test_without_a_mistake_the_temperature_is_at_the_end_of_the_range_which_is_known() -> None:
    temperature = fit_temperature(3 * torch.eye(10), torch.arange(10))
    assert temperature == pytest.approx(1 / HOTTEST)
    assert is_at_an_end(temperature)


def test_the_calibration_error_is_that_of_torchmetrics() -> None:
    logits, labels = drawn(5000, 2.0)
    expected = multiclass_calibration_error(logits, labels, num_classes=10, n_bins=BINS, norm="l1")
    found = calibration(logits, labels)
    assert found.ece == pytest.approx(expected.item(), abs=1e-6)
    assert all(images and 0.2 < confidence < 1 for images, confidence, _ in found.bins[3:])
    assert sum(images for images, *_ in found.bins) == 5000


def test_the_interval_of_an_accuracy_is_wilsons() -> None:
    """Numbers by hand from the formula; the interval stays within 0 and 1."""
    assert Accuracy(9425, 10_000).interval == pytest.approx((0.93777, 0.94690), abs=1e-5)
    assert Accuracy(10, 10).interval == pytest.approx((0.72247, 1), abs=1e-5)


def test_likely_classes_hold_the_true_one_of_nine_new_images_in_ten() -> None:
    torch.manual_seed(0)
    labels = torch.randint(10, (4000,))
    logits = torch.randn(4000, 10) + 2 * torch.eye(10)[labels]
    sets = likely(logits[2000:], Limits(find_limits(logits[:2000], labels[:2000]).probability))
    assert abs(sets.gather(1, labels[2000:, None]).float().mean().item() - 0.9) < 0.02
    assert 1 < sets.sum(dim=1).float().mean() < 5


def test_a_picture_with_low_logits_is_none_of_the_classes() -> None:
    logits, labels = torch.eye(10).repeat(10, 1) * 9, torch.arange(10).repeat(10)
    limits = find_limits(logits, labels)
    assert likely(torch.tensor([[8.9] + [0.0] * 9, [9.0] + [0.0] * 9]), limits).sum(dim=1).tolist() == [0, 1]


def test_limits_stay_within_the_bounds_of_a_card_also_for_a_network_that_diverged() -> None:
    huge = torch.full((40, 10), 1e6)
    assert find_limits(huge, torch.zeros(40, dtype=torch.long)).logit == 1e4
    assert find_limits(huge * torch.nan, torch.zeros(40, dtype=torch.long)) == Limits(0.0, -1e4)


def test_classes_are_named_from_the_most_probable_on() -> None:
    named = likely_names([0.3, 0.1, 0.6], [True, False, True], ["Coat", "Bag", "Shirt"])
    assert (in_words(named), in_words([])) == ("Shirt or Coat", "none of these classes")


def test_the_limits_stand_in_checkpoint_and_card(cli: Run, trained: str) -> None:
    limits = load(trained).limits
    assert limits != Limits()
    cli("export", "--ckpt_path", trained, "--output", "model.safetensors")
    assert load("model.safetensors").limits == limits
    own = find_checkpoint(trained, "best").own
    assert json.loads(own["card"])["limits"] == own["limits"]
