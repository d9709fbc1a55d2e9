"""Views of an image, and the average over them."""

import torch

from fashion_lightning.data.tta import views

IMAGE = torch.arange(28 * 28).view(1, 1, 28, 28) % 251


def test_without_augmentation_there_is_the_image_alone() -> None:
    (view,) = views(IMAGE, "none")
    assert torch.equal(view, IMAGE)


def test_flip_shift_adds_both_moved_by_a_pixel_in_four_directions() -> None:
    image, mirrored, *moved = views(IMAGE, "flip_shift")
    assert torch.equal(image, IMAGE)
    assert torch.equal(mirrored, IMAGE.flip(-1))
    up, _, down, _, left, _, right, right_mirrored = moved
    assert torch.equal(up[..., :-1, :], IMAGE[..., 1:, :])
    assert torch.equal(down[..., 1:, :], IMAGE[..., :-1, :])
    assert torch.equal(left[..., :-1], IMAGE[..., 1:])
    assert torch.equal(right[..., 1:], IMAGE[..., :-1])
    assert torch.equal(right_mirrored, right.flip(-1))
    assert not any(edge.any() for edge in (up[..., -1, :], down[..., 0, :], left[..., -1], right[..., 0]))
