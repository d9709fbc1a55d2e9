"""Which test images count as near-duplicates of training images."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fashion_lightning.report import near_duplicates as module
from fashion_lightning.report.near_duplicates import LIMIT, near_duplicates


def generated_images(count: int, seed: int) -> Tensor:
    """Blurred noise: images whose neighbouring pixels are alike, as those of photographs."""
    noise = torch.rand(count, 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    return (noise.repeat_interleave(4, 2).repeat_interleave(4, 3) * 255).to(torch.uint8)


def shifted_by(image: Tensor, levels: int) -> Tensor:
    """Every pixel that many grey levels away, in whichever direction there is room."""
    return torch.where(image < 128, image + levels, image - levels)


def test_the_limit_is_met_to_the_grey_level_and_mirror_images_count() -> None:
    known = generated_images(300, 0)
    images = torch.cat(
        [
            known[7:8],
            shifted_by(known[8:9], int(LIMIT)),
            shifted_by(known[9:10], int(LIMIT) + 1),
            known[10:11].flip(-1),
            generated_images(5, 1),
        ]
    )
    found = near_duplicates(images, known)
    assert found.nearest.tolist() == [7, 8, -1, 10] + [-1] * 5
    assert found.mirrored.tolist() == [False, False, False, True] + [False] * 5
    assert found.distance[:2].tolist() == [0, LIMIT]
    assert found.distance[2:].tolist() == [np.inf, 0] + [np.inf] * 5


def test_what_is_left_out_unseen_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against every pair, compared one by one; in groups and slices so small that there are many of them."""
    monkeypatch.setattr(module, "GROUP", 7)
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 3)
    monkeypatch.setattr(module, "LIMIT", 60.0)
    known, share = generated_images(400, 2), torch.linspace(0, 1, 60).view(-1, 1, 1, 1)
    images = (share * known[:60] + (1 - share) * generated_images(60, 3)).to(torch.uint8)
    images[::2] = images[::2].flip(-1)
    found = near_duplicates(images, known)
    views = np.stack([images.numpy(), images.flip(-1).numpy()]).astype(float)[:, :, None]
    distances = np.sqrt(((views - known.numpy().astype(float)[None, None]) ** 2).mean(axis=(3, 4, 5)))
    nearest = distances.min(axis=0).argmin(axis=1)
    near = distances.min(axis=(0, 2)) <= 60
    assert 10 < near.sum() < 50
    assert found.nearest.tolist() == np.where(near, nearest, -1).tolist()
    np.testing.assert_allclose(found.distance[near], distances.min(axis=(0, 2))[near], rtol=1e-6)
