"""Confidence against accuracy, and sampling errors: numbers that can be checked by hand."""

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from fashion_lightning.metrics import BINS, HOTTEST, calibration, fit_temperature, is_at_an_end
from fashion_lightning.report.intervals import Accuracy


def drawn(count: int, scale: float) -> tuple[Tensor, Tensor]:
    """Logits whose softmax is what their labels were drawn from, multiplied by a scale."""
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
    if scale != 1:
        assert before.ece > 5 * after.ece
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
    for images, confidence, _ in found.bins[3:]:
        assert images
        assert 0.2 < confidence < 1
    assert sum(images for images, *_ in found.bins) == 5000


def test_the_interval_of_an_accuracy_is_wilsons() -> None:
    """Numbers by hand from the formula; the interval stays within 0 and 1."""
    assert Accuracy(9425, 10_000).interval == pytest.approx((0.93777, 0.94690), abs=1e-5)
    assert Accuracy(10, 10).interval == pytest.approx((0.72247, 1), abs=1e-5)
