"""The background of a photograph, found by its border, and what stands out from it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]

CLOSE = 13.0
"""Levels of 255: the 5 % of the paper (arXiv 1708.07747, section 2, step 2) within which a pixel is background."""

FOUND = 0.5
"""The share of the border that must fit; a garment may cover the rest. Not tuned."""


def find_background(rgb: Pixels) -> tuple[Pixels, float] | None:
    """Fit the background behind a whole picture ``(H, W, 3)`` float; return it and the reach of its noise, in levels.

    A plane in each colour is fitted to the border, which a garment may touch; then a curved surface to all that is
    near the plane, if that explains the border as well. Returns ``None`` if no such surface explains the border.
    """
    height, width = rgb.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    surface = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1)
    border = np.ones((height, width), bool)
    edge = max(1, round(0.02 * max(height, width)))
    border[edge:-edge, edge:-edge] = False
    plane, noise = _fit(surface[border][:, :3], rgb[border])
    background = surface[..., :3] @ plane
    far = distance(rgb, background) > max(CLOSE, noise)
    share = 1 - far[border].mean()
    empty = _neighbours(far) == 0
    if share >= FOUND / 2 and empty.sum() > 50:
        curved, curved_noise = _fit(surface[empty], rgb[empty])
        explained = (distance(rgb, surface @ curved) <= max(CLOSE, curved_noise))[border].mean()
        if explained >= share - 0.02:
            background, noise, share = surface @ curved, curved_noise, explained
    return (background, noise) if share >= FOUND else None


def _fit(terms: Pixels, colours: Pixels) -> tuple[Pixels, float]:
    """Fit by least squares with Cauchy weights, which discount outliers; return the fit and the reach of the noise."""
    step = max(1, len(terms) // 1000)
    terms, colours = terms[::step].astype(float), colours[::step].astype(float)
    weights = np.ones(len(terms))
    for _ in range(8):
        weighted = terms.T * weights
        solution = np.linalg.solve(weighted @ terms + 1e-6 * np.eye(terms.shape[1]), weighted @ colours)
        off = np.abs(terms @ solution - colours).max(1)
        spread = 1.48 * float(np.median(off))  # the standard deviation, of normal noise
        weights = (1 + (off / max(2.0, spread)) ** 2) ** -2
    return solution.astype(np.float32), 3 * spread


def distance(rgb: Pixels, background: Pixels) -> Pixels:
    """Return how far each pixel is from the background, in the colour that differs most, ``(H, W)`` float."""
    levels: Pixels = np.abs(rgb - background).max(2)
    return levels


def stands_out(rgb: Pixels, background: Pixels, noise: float) -> Pixels:
    """Return where a picture differs from its background, holes filled and specks removed, ``(H, W)`` bool."""
    mask = distance(rgb, background) > max(CLOSE, noise)
    mask &= _neighbours(mask) >= 3
    mask = ~outside_of(mask)  # of a dark garment on black only the outline may differ
    solid = connected(_neighbours(mask) == 9, mask)
    return solid if solid.any() else mask


def outside_of(mask: Pixels) -> Pixels:
    """Return the outside of a mask ``(H, W)``, with gaps of two pixels in the mask closed."""
    closed = np.pad(grown(mask), 2)
    frame = np.ones_like(closed)
    frame[1:-1, 1:-1] = False
    outside: Pixels = grown(connected(frame, ~closed))[2:-2, 2:-2] & ~mask
    return outside


def reached_from_outside(free: Pixels) -> Pixels:
    """Return the free pixels ``(H, W)`` that are connected with the outside of the picture."""
    padded = np.pad(free, 1, constant_values=True)
    frame = np.ones_like(padded)
    frame[1:-1, 1:-1] = False
    reached: Pixels = connected(frame, padded)[1:-1, 1:-1]
    return reached


def parts(mask: Pixels) -> Iterator[Pixels]:
    """Yield the connected parts of a mask ``(H, W)``."""
    rest = mask.copy()
    while rest.any():
        seed = np.zeros_like(rest)
        seed.flat[np.flatnonzero(rest)[0]] = True
        part = connected(seed, rest)
        rest &= ~part
        yield part


def connected(seeds: Pixels, mask: Pixels) -> Pixels:
    """Return the pixels of a mask that are connected with the seeds."""
    reached, before = seeds & mask, -1
    while (now := int(reached.sum())) != before:
        before = now
        for _ in range(4):
            reached = grown(reached) & mask
    return reached


def grown(mask: Pixels) -> Pixels:
    """Grow a mask by the four neighbours of each of its pixels."""
    result = mask.copy()
    result[1:] |= mask[:-1]
    result[:-1] |= mask[1:]
    result[:, 1:] |= mask[:, :-1]
    result[:, :-1] |= mask[:, 1:]
    return result


def _neighbours(mask: Pixels) -> Pixels:
    """Count how many of a pixel and its eight neighbours are set."""
    height, width = mask.shape
    padded = np.pad(mask.astype(np.uint8), 1)
    count: Pixels = np.sum([padded[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0)
    return count
