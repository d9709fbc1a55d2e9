"""Killed at any instant and continued, a run ends as if nothing had happened."""

from collections.abc import Iterator

import pytest
from torch import tensor

from tests import kills


@pytest.mark.slow
def test_half_a_dozen_kills_leave_no_difference() -> None:
    done, differences = kills.run(kills=6, seed=1)
    assert done >= 6
    assert differences == []


def test_ten_recipes_use_every_schedule_optimizer_precision_and_pruning() -> None:
    taken: Iterator[str] = (kills.title(recipe) for recipe, _ in zip(kills.cases(), range(10), strict=False))
    words = {word for title in taken for word in title.split()}
    schedules = {schedule[0].split(".")[-1] if schedule else "none" for schedule in kills.SCHEDULES}
    places = {"32-true", "bf16-mixed", "prune=0.4", "prune=0.0"}
    assert words == schedules | {"Muon", "AdamW"} | places


def test_a_single_bit_makes_a_difference() -> None:
    one, other = tensor([1.0, 2.0]), tensor([1.0, 2.0000002])
    assert dict(kills.values({"a": one})) == dict(kills.values({"a": one.clone()}))
    assert dict(kills.values({"a": one})) != dict(kills.values({"a": other}))
    assert dict(kills.values({"a": one})) != dict(kills.values({"a": one.double()}))
