"""The list of test images that are near-duplicates of training images."""

import csv
import gzip
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fashion_lightning.report.findings import FILE, LIMIT, near_duplicates

REAL = Path("/usr/share/datasets/fashion-mnist")


def real(split: str) -> Tensor:
    content = gzip.decompress((REAL / f"{split}-images-idx3-ubyte.gz").read_bytes())[16:]  # behind the header
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, 1, 28, 28)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data, of the package dataset-fashion-mnist")
def test_each_pair_of_the_list_is_as_far_apart_as_it_says() -> None:
    tests, training = real("t10k"), real("train")
    with FILE.open(encoding="utf-8") as file:
        pairs = list(csv.DictReader(file))
    assert near_duplicates(tests) == frozenset(int(pair["test_image"]) for pair in pairs)
    assert len(pairs) == 538
    for pair in pairs:
        image, nearest = tests[int(pair["test_image"])], training[int(pair["training_image"])]
        view = image.flip(-1) if pair["mirrored"] == "1" else image
        apart = (view.float() - nearest.float()).square().mean().sqrt().item()
        assert float(pair["distance"]) == pytest.approx(apart, abs=1e-3)
        assert apart <= LIMIT + 1e-3
