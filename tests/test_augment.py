"""Augmentation: what it may do to an image, and that each draw can be repeated."""

import hashlib
from typing import Any

import pytest
import torch

from fashion_lightning.data.augment import Augment, Part

IMAGES = torch.randint(1, 256, (64, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
INDICES = torch.arange(1000, 1064)


def test_nothing_is_changed_by_default() -> None:
    assert torch.equal(Augment()(IMAGES, INDICES, epoch=0, batch_idx=0), IMAGES)


@pytest.mark.parametrize("augment", [Augment("random", 2, 8), Augment("alternating", 2, 8)])
def test_the_same_place_gives_the_same_images_and_another_place_others(augment: Augment) -> None:
    torch.manual_seed(1)
    first = augment(IMAGES, INDICES, epoch=3, batch_idx=5)
    torch.manual_seed(2)
    assert torch.equal(first, augment(IMAGES, INDICES, epoch=3, batch_idx=5))
    assert not torch.equal(first, augment(IMAGES, INDICES, epoch=3, batch_idx=6))
    assert not torch.equal(first, augment(IMAGES, INDICES, epoch=4, batch_idx=5))
    assert (first.dtype, first.shape) == (torch.uint8, IMAGES.shape)


@pytest.mark.parametrize("augment", [Augment("random", 2, 8), Augment("alternating", 1)])
def test_processes_that_share_a_step_augment_each_image_as_one_would(augment: Augment) -> None:
    alone, shared = augment(IMAGES, INDICES, 3, 5), torch.zeros_like(IMAGES)
    for rank in range(3):
        shared[rank::3] = augment(IMAGES[rank::3], INDICES[rank::3], 3, 5, Part(len(IMAGES), rank, 3))
    assert torch.equal(alone, shared)


def test_a_random_flip_mirrors_about_half_of_the_images() -> None:
    flipped = Augment(flip="random")(IMAGES, INDICES, 0, 0)
    mirrored = [torch.equal(out, image.flip(-1)) for out, image in zip(flipped, IMAGES, strict=True)]
    same = [torch.equal(out, image) for out, image in zip(flipped, IMAGES, strict=True)]
    assert 20 < sum(mirrored) < 44
    assert sum(mirrored) + sum(same) == 64


def test_an_alternating_flip_shows_each_image_both_ways_in_two_epochs() -> None:
    augment = Augment(flip="alternating")
    even, odd = augment(IMAGES, INDICES, 0, 0), augment(IMAGES, INDICES, 1, 7)
    assert torch.equal(even, odd.flip(-1))
    assert torch.equal(even, augment(IMAGES, INDICES, 2, 3))
    mirrored = sum(torch.equal(out, image.flip(-1)) for out, image in zip(even, IMAGES, strict=True))
    assert 20 < mirrored < 44


def test_a_shift_moves_each_image_by_its_own_whole_pixels_and_fills_with_black() -> None:
    shifted = Augment(shift=2)(IMAGES, INDICES, 0, 0)
    padded = torch.nn.functional.pad(IMAGES, [2] * 4)
    places = {(y, x): padded[:, :, y : y + 28, x : x + 28] for y in range(5) for x in range(5)}
    found = [{at for at, whole in places.items() if torch.equal(whole[i], shifted[i])} for i in range(64)]
    assert all(len(at) == 1 for at in found)
    assert len({at.pop() for at in found}) > 15


def test_a_cutout_blackens_one_square_of_each_image() -> None:
    cut = Augment(cutout=8)(IMAGES, INDICES, 0, 0)
    black = (cut == 0).squeeze(1)
    assert torch.equal(cut[cut != 0], IMAGES[cut != 0])
    for image in black:
        rows, columns = image.any(1).sum(), image.any(0).sum()
        assert 1 <= rows <= 8 and image.sum() == rows * columns  # noqa: PT018
    assert black.sum(dim=(1, 2)).max() == 64


ALL_OF_IT = [Augment("random", 2, 8, seed=3), Augment("alternating", 2, 8, seed=3)]


@pytest.mark.parametrize(
    ("augment", "digest"), [(ALL_OF_IT[0], "ab72ed456f85a682"), (ALL_OF_IT[1], "53ecc246894fe917")]
)
def test_the_draws_are_those_of_all_published_figures(augment: Augment, digest: str) -> None:
    """A run that is continued goes on with the images that it would have seen."""
    images = augment(IMAGES, INDICES + 50_000, epoch=3, batch_idx=5)
    assert hashlib.sha256(images.numpy().tobytes()).hexdigest()[:16] == digest


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("augment", ALL_OF_IT, ids=["random", "alternating"])
def test_a_gpu_is_never_waited_for_and_makes_the_same_images(augment: Augment) -> None:
    images, indices = IMAGES.cuda(), INDICES.cuda()
    expected = augment(IMAGES, INDICES, epoch=3, batch_idx=5)
    torch.cuda.set_sync_debug_mode("error")
    try:
        augmented = augment(images, indices, epoch=3, batch_idx=5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(augmented.cpu(), expected)


def test_what_is_drawn_goes_to_the_device_of_the_images_and_only_cuda_may_still_copy_it_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Elsewhere, as on Apple's GPUs, it may be freed before it is read (pytorch issue 189690)."""
    move: Any = torch.Tensor.to
    moves: list[Any] = []

    def noted(tensor: torch.Tensor, *place: Any, **options: Any) -> Any:
        moves.append((place, options))
        return move(tensor, *place, **options)

    images = IMAGES.to("meta")
    monkeypatch.setattr(torch.Tensor, "to", noted)
    for augment in ALL_OF_IT:
        augment(images, INDICES, epoch=3, batch_idx=5)
    assert moves == [((images.device,), {"non_blocking": False})] * 6
