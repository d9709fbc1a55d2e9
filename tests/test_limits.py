"""A classifier says what it cannot know: several likely classes, or none."""

import json

import torch

from fashion_lightning import load
from fashion_lightning.data.classes import Limits, in_words, likely_names
from fashion_lightning.metrics import find_limits, likely
from fashion_lightning.runs.checkpoint import find_checkpoint
from tests.conftest import Run


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
