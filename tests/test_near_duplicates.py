"""The list of test images that are near-duplicates of training images."""

import gzip
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fashion_lightning.report.findings import LIMIT, near_duplicates

REAL = Path("/usr/share/datasets/fashion-mnist")


def real(split: str) -> Tensor:
    content = gzip.decompress((REAL / f"{split}-images-idx3-ubyte.gz").read_bytes())[16:]  # behind the header
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, 1, 28, 28)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data, of the package dataset-fashion-mnist")
def test_each_pair_of_the_list_is_as_far_apart_as_it_says() -> None:
    tests, training = real("t10k"), real("train")
    found = near_duplicates(tests)
    assert found is not None
    assert len(found) == 538
    for index, (nearest, mirrored, distance) in found.items():
        image = tests[index].flip(-1) if mirrored else tests[index]
        apart = (image.float() - training[nearest].float()).square().mean().sqrt().item()
        assert distance == pytest.approx(apart, abs=1e-3)
        assert distance <= LIMIT
