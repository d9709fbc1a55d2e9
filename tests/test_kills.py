"""Killed at any instant and continued, a run ends as if nothing had happened."""

import pytest
from torch import tensor

from tests import kills


@pytest.mark.slow
@pytest.mark.parametrize(("count", "processes"), [(6, 1), (2, 2)])
def test_kills_of_a_process_or_of_either_of_two_leave_no_difference(count: int, processes: int) -> None:
    done, differences = kills.run(count, processes, processes)
    assert done >= count
    assert differences == []


def test_a_single_bit_makes_a_difference() -> None:
    one, other = tensor([1.0, 2.0]), tensor([1.0, 2.0000002])
    assert dict(kills.values({"a": one})) == dict(kills.values({"a": one.clone()}))
    assert dict(kills.values({"a": one})) != dict(kills.values({"a": other}))
    assert dict(kills.values({"a": one})) != dict(kills.values({"a": one.double()}))
