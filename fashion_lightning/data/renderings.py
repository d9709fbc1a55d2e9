"""Render images of the data set as photographs, to train a classifier of photographs without any photograph.

Domain randomization (https://arxiv.org/abs/1703.06907): an image supplies a garment's outline and details. Shape,
colours, pattern, folds, background, light and camera are drawn at random, with more variety than in photographs, so
that only the features that make it a shirt or a coat stay the same.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, grid_sample, interpolate, pad

from fashion_lightning.data.augment import Part, moved

CATALOGUE = 0.15
"""Share of the images shown in their own shape, on white or nearly white, as in a catalogue."""

NOTHING = 0.12
"""The share of a step's pictures that show no garment (outlier exposure, https://arxiv.org/abs/1812.04606)."""


def catalogue(images: Tensor, size: int) -> Tensor:
    """Show images ``(B, 1, 28, 28)`` uint8 in grey on white, as in a catalogue: ``(B, 3, size, size)`` uint8."""
    enlarged = interpolate(255.0 - images, (size - 2 * (size // 12),) * 2, mode="bilinear")
    return pad(enlarged, [size // 12] * 4, value=255).round().byte().expand(-1, 3, -1, -1)


class Draws:
    """Random numbers for each image of a step, drawn on the CPU so that every kind of device sees the same pictures.

    Args:
        generator: of the step.
        part: the share of the step's images to render.
        device: where the numbers are needed.
    """

    def __init__(self, generator: torch.Generator, part: Part, device: torch.device) -> None:
        self.generator, self.part, self.device = generator, part, device

    def uniform(self, low: float = 0, high: float = 1, shape: tuple[int, ...] = (1, 1, 1)) -> Tensor:
        """Return ``(B, *shape)`` float32 between two bounds."""
        return low + (high - low) * self._own(torch.rand(self.part.whole, *shape, generator=self.generator))

    def normal(self, *shape: int) -> Tensor:
        """Return ``(B, *shape)`` float32 of mean 0 and standard deviation 1; ``(B, 1, 1, 1)`` without a shape."""
        return self._own(torch.randn(self.part.whole, *(shape or (1, 1, 1)), generator=self.generator))

    def chance(self, probability: float) -> Tensor:
        """Return ``(B, 1, 1, 1)`` bool, true with a probability."""
        return self.uniform() < probability

    def either(self, probability: float, one: Tensor | float, other: Tensor | float) -> Tensor:
        """Choose for each image: ``one`` with a probability, else ``other``."""
        return torch.where(self.chance(probability), one, other)

    def clouds(self, size: int, height: int, width: int = 0) -> Tensor:
        """Return smooth noise ``(B, 1, size, size)`` with about ``height`` x ``width`` spots (0: as ``height``)."""
        return interpolate(self.normal(1, height, width or height), (size, size), mode="bilinear")

    def colour(self, saturation: float) -> Tensor:
        """Return colours ``(B, 3, 1, 1)`` in [0, 1], many of them nearly black, white or grey."""
        value = self.uniform(0.03, 0.97)
        value = self.either(0.25, 0.25 * value, self.either(0.25, 1 - 0.2 * (1 - value), value))
        hue = self.uniform(0, 1, (3, 1, 1))
        hue = (hue / hue.amax(1, keepdim=True)) ** 1.5
        strength = self.uniform() ** (1 / saturation)
        return value * (1 - self.either(0.4, 0.15 * strength, strength) * (1 - hue))

    def _own(self, drawn: Tensor) -> Tensor:
        return moved(drawn[self.part.rank :: self.part.processes], self.device)


def render_step(images: Tensor, generator: torch.Generator, part: Part, size: int) -> tuple[Tensor, int]:
    """Render a process's part of a step as photographs; the last ones of the step show no garment.

    Returns ``(B, 3, size, size)`` uint8, and how many of them, the first ones, show a garment.
    """
    first = part.whole - int(NOTHING * part.whole)
    count = len(range(part.rank, first, part.processes))
    garments = render(images[:count], Draws(generator, part._replace(whole=first), images.device), size)
    others = Part(part.whole - first, (part.rank - first) % part.processes, part.processes)
    return torch.cat([garments, without_garments(Draws(generator, others, images.device), size)]), count


def without_garments(draws: Draws, size: int) -> Tensor:
    """Render shapes that are no garments, or nothing, on shapes or noise; return uint8 like ``render``."""
    plain = draws.either(0.5, 1.0, draws.uniform(0, 1, (3, 1, 1))).expand(-1, 3, size, size)
    blocks = draws.either(0.5, draws.clouds(size, 24), interpolate(draws.normal(3, 4, 4), (size, size)))
    noise = draws.either(0.5, draws.normal(3, size, size), blocks)
    scene = render(_things(draws), draws, size, plain) / 255
    scene = draws.either(0.7, scene, scene + draws.uniform() ** 2 * noise)
    return render(_things(draws), draws, size, scene)


def render(images: Tensor, draws: Draws, size: int, scene: Tensor | None = None) -> Tensor:
    """Render images as photographs, ``(B, 3, size, size)`` uint8.

    Args:
        images: ``(B, 1, 28, 28)`` uint8, bright on black.
        draws: the random numbers.
        size: pixels of each edge of a photograph.
        scene: ``(B, 3, size, size)`` in [0, 1], the background of most images.
    """
    values = images.float() / 255
    x = torch.linspace(1 / size - 1, 1 - 1 / size, size, device=images.device).view(1, 1, 1, -1)
    in_catalogue = draws.chance(CATALOGUE)
    outline, details = _outline(values), _details(values)
    outline = draws.either(0.4, _filled(outline), outline)
    across, down, grid = _shape(outline, x, x.mT, in_catalogue, draws)
    cover = grid_sample((outline + _blurred(outline)) / 2, grid, "bicubic", align_corners=False)
    cover = ((cover - 0.5) * draws.uniform(1.5, 4) + 0.5).clamp(0, 1)
    details = grid_sample(details, grid, "bicubic", "border", align_corners=False)
    fabric = _fabric(across, down, details - details.mean((2, 3), keepdim=True), draws)
    shade = _blurred(cover, 5)
    fabric = fabric * (1 - draws.uniform(-0.1, 0.6) * (1 - shade))  # a round garment, or one with a shiny edge
    soft = _blurred(shade, 5)
    shadow = draws.either(0.5, torch.roll(soft, (1, 1), (2, 3)), torch.roll(soft, (1, -1), (2, 3)))
    ground = _ground(x, x.mT, across, down, draws)
    if scene is not None:
        ground = draws.either(0.7, scene, ground)
    ground = ground * (1 - draws.uniform(0, 0.6) * shadow)
    photograph = _lit(cover * fabric.clamp(0, 1) + (1 - cover) * ground.clamp(0, 1), x, x.mT, draws)
    paper = draws.either(0.6, 1.0, 1 - 0.15 * draws.uniform(0, 1, (3, 1, 1)))
    catalogue = paper * (1 - grid_sample(values, grid, align_corners=False) * draws.uniform(0.7, 1, (3, 1, 1)))
    seen = torch.where(in_catalogue, catalogue, photograph)
    softness = draws.uniform() * draws.chance(0.6)
    for again in (1.0, draws.chance(0.35)):
        seen = seen + softness * again * (_blurred(seen) - seen)
    return ((seen + 0.03 * draws.uniform() ** 3 * draws.normal(3, size, size)).clamp(0, 1) * 255).round().byte()


def _things(draws: Draws) -> Tensor:
    """Draw strokes, filled shapes, blobs, or nothing: ``(B, 1, 28, 28)`` uint8, bright on black."""
    rough = draws.either(0.5, draws.clouds(28, 14), draws.clouds(28, 9, 28))
    heights = draws.either(0.5, draws.clouds(28, 4), draws.clouds(28, 7)) + 2 * draws.uniform() ** 2 * rough
    blobs = draws.either(0.4, heights.abs() < draws.uniform(0.1, 0.5), heights > draws.uniform(-0.5, 1))
    blobs = blobs & draws.either(0.5, draws.clouds(28, 3) > draws.uniform(-0.5, 0.5), True)
    strokes = _stroke(draws) | (_stroke(draws) & draws.chance(0.4))
    strokes = draws.either(0.25, _filled(strokes.float()) > 0, strokes)
    shown = draws.either(0.5, strokes, blobs) & draws.chance(0.8)
    return (shown * (180 + 70 * draws.clouds(28, 6)).clamp(20, 255)).byte()


def _stroke(draws: Draws) -> Tensor:
    """Draw a line through five places, with sharp or round corners: ``(B, 1, 28, 28)`` bool."""
    places = draws.uniform(0.3, 1, (1, 1)) * draws.uniform(-1, 1, (2, 5))
    places[..., 4:] = torch.where(draws.uniform(0, 1, (1, 1)) < 0.4, places[..., :1], places[..., 4:])  # closed
    line = interpolate(places, 48, mode="linear", align_corners=True)
    line = line + draws.uniform(0, 1, (1, 1)) * (avg_pool1d(line, 13, 1, 6, count_include_pad=False) - line)
    at = torch.linspace(-1, 1, 28, device=line.device)
    return torch.cdist(torch.cartesian_prod(at, at), line.mT).amin(2).view(-1, 1, 28, 28) < draws.uniform(0.05, 0.3)


def _blurred(images: Tensor, width: int = 3) -> Tensor:
    """Return means over squares, with repeated border pixels; on a CPU, faster than a convolution or pooling."""
    for axis in (2, 3):
        length = images.size(axis)
        first, last = images.narrow(axis, 0, 1), images.narrow(axis, length - 1, 1)
        padded = torch.cat([first] * (width // 2) + [images] + [last] * (width // 2), axis)
        images = sum(padded.narrow(axis, start, length) for start in range(width)) / width  # type: ignore[assignment]
    return images


def _outline(values: Tensor) -> Tensor:
    """Return a garment's mask ``(B, 1, 28, 28)`` of 0 and 1, with small black specks filled."""
    mask = (values > 0.04).float()
    return torch.maximum(mask, (_blurred(mask) > 0.6).float())


def _filled(mask: Tensor) -> Tensor:
    """Fill pixels that the mask encloses on all four sides: white fabric, which is black in the data set."""
    sides = [mask.flip(axis).cummax(axis)[0].flip(axis) for axis in (2, 3)] + [mask.cummax(axis)[0] for axis in (2, 3)]
    return torch.stack(sides).amin(0)


def _details(values: Tensor) -> Tensor:
    """Return the garment's grey levels, continued beyond its outline."""
    inside = (values > 0.04).float()
    near = _blurred(values * inside, 5) / _blurred(inside, 5).clamp(min=0.02)
    mean = values.sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True).clamp(min=1)
    return torch.where(inside > 0, values, torch.where(near > 0, near, mean))


def _shape(outline: Tensor, x: Tensor, y: Tensor, in_catalogue: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    """Lay a garment down: wide or narrow, turned, spread out, crumpled.

    Returns:
        Each pixel's position on the garment: ``across`` and ``down``, ``(B, 1, S, S)``, from -1 to 1 within the
        garment's box; and its position in the image, for ``grid_sample``.
    """
    (centre_x, half_x), (centre_y, half_y) = _extent(outline.amax((1, 2))), _extent(outline.amax((1, 3)))
    free = (~in_catalogue).float()
    ratio = half_x / half_y
    # Long garments are wider when laid out than on a body; bags and shoes are wide already.
    wider = ratio.clamp(max=1) ** draws.uniform(0.35, 1) * ratio.clamp(min=1)
    ratio = torch.where(in_catalogue, ratio, wider * torch.exp(0.22 * draws.normal() + 0.18 * (ratio < 1)))
    scale = torch.where(in_catalogue, draws.uniform(0.4, 0.95), draws.uniform(0.6, 1.1))
    width, height = scale * ratio.clamp(max=1), scale / ratio.clamp(min=1)
    x, y = (
        place - draws.uniform(-1, 1) * (1 - extent).clamp(min=0.06) * (1 - free / 2)
        for place, extent in ((x, width), (y, height))
    )
    angle = free * (0.14 * draws.normal() + draws.either(0.04, draws.uniform(-math.pi, math.pi), 0.0))
    across = draws.either(0.5, 1.0, -1.0) * (angle.cos() * x + angle.sin() * y) / width
    down = (angle.cos() * y - angle.sin() * x) / height
    hem = draws.uniform(-0.1, 0.12) + draws.uniform(0, 0.7) * (1 - half_x / half_y).clamp(min=0)  # wide if long
    across = across / (1 + free * hem * down.clamp(-1.3, 1.3))
    across = across + free * (0.12 * draws.normal() * down.square().clamp(max=2) + 0.1 * draws.normal() * down)
    spread = free * draws.uniform(-0.1, 0.35) * draws.chance(0.6) * (down + 1).clamp(0, 2)  # sleeves
    across = across - across.sign() * (across.abs() - 0.45).clamp(min=0) * (1 - 1 / (1 + spread))
    crumple = free * 0.09 * draws.uniform() * interpolate(draws.normal(2, 5, 5), across.shape[2:], mode="bicubic")
    across, down = across + crumple[:, :1], down + crumple[:, 1:]
    grid = torch.cat([centre_x + half_x * across, centre_y + half_y * down], 1).movedim(1, -1)
    return across, down, grid


def _extent(profile: Tensor) -> tuple[Tensor, Tensor]:
    """Return centre and half length of the nonzero part of ``(B, 28)``, in coordinates from -1 to 1."""
    at = torch.arange(28.0, device=profile.device)
    first = torch.where(profile > 0, at, 28.0).amin(1).view(-1, 1, 1, 1)
    end = torch.where(profile > 0, at, -1.0).amax(1).view(-1, 1, 1, 1) + 1
    return (first + end) / 28 - 1, ((end - first) / 28).clamp(0.1, 1)


def _fabric(across: Tensor, down: Tensor, details: Tensor, draws: Draws) -> Tensor:
    """Return the colours of a fabric ``(B, 3, S, S)``: plain, striped, checked, spotted or printed; with folds."""
    size = across.size(-1)
    angle = draws.either(0.75, draws.either(0.5, math.pi / 2, 0.0), draws.uniform(0, math.pi)) + 0.05 * draws.normal()
    frequency = torch.exp(draws.uniform(1.6, 3.5))
    along, beside = angle.cos() * across + angle.sin() * down, angle.cos() * down - angle.sin() * across
    hardness, balance = draws.uniform(1, 8), draws.uniform(-0.6, 0.6)
    stripes, others = (
        torch.sigmoid(hardness * (torch.sin(frequency * place + draws.uniform(0, 6.3)) + balance))
        for place in (along, beside)
    )
    places = torch.cat([across, down], 1).movedim(1, -1) * draws.either(0.5, 0.4, 1.0).view(-1, 1, 1, 1)
    noise = grid_sample(draws.normal(1, 24, 24), places, "bilinear", "reflection", align_corners=False)
    spots = torch.sigmoid(2 * hardness * (noise + balance))
    from_x = (across - 0.25 * draws.normal()).abs() / draws.uniform(0.15, 0.5)
    from_y = (down - draws.uniform(-0.5, 0.3)).abs() / draws.uniform(0.1, 0.45)
    printed = torch.sigmoid(12 * (1 - torch.maximum(from_x, from_y))) * draws.either(0.6, spots, 1.0)
    yoke = torch.sigmoid(14 * (down - draws.uniform(-0.7, 0.7)))
    pattern, kind = torch.zeros_like(across), draws.uniform()
    for most, values in ((0.58, yoke), (0.53, printed), (0.4, spots), (0.24, (stripes + others) / 2), (0.14, stripes)):
        pattern = torch.where(kind < most, values, pattern)
    ground, figure = draws.colour(0.5), draws.colour(0.5)
    fabric = ground + (figure - ground) * pattern * draws.uniform(0.3, 1)
    fabric = fabric + draws.either(0.3, 1.0, -1.0) * draws.uniform(0.2, 1) * details
    soft = 0.5 * draws.clouds(size, 4) + 0.4 * draws.clouds(size, 9) + 0.2 * draws.clouds(size, 20)
    folds = draws.either(0.5, soft, draws.either(0.5, draws.clouds(size, 4, 14), draws.clouds(size, 14, 4)))
    return fabric * (1 + draws.uniform(0, 0.3) * folds) + draws.uniform(0, 0.06) * folds


def _ground(x: Tensor, y: Tensor, across: Tensor, down: Tensor, draws: Draws) -> Tensor:
    """Return a background ``(B, 3, S, S)``, such as a wall, boards, tiles, a rug or a sheet, sometimes with an edge."""
    size = across.size(-1)
    wood = torch.tensor([1.0, 0.85, 0.7], device=x.device).view(3, 1, 1) ** draws.uniform(-0.2, 1.2)
    first, kind = draws.colour(0.35), draws.uniform()
    light, warm = 1 - 0.35 * (1 - first), wood * draws.uniform(0.25, 0.9)
    first = torch.where(kind < 0.25, light, torch.where(kind < 0.6, warm, first))
    second = (first + 0.25 * draws.normal() + 0.15 * draws.normal(3, 1, 1)).clamp(0, 1)
    grain = draws.either(0.5, draws.clouds(size, 2, 24), draws.clouds(size, 24, 2))
    texture = draws.either(0.3, grain, draws.either(0.5, draws.clouds(size, 6), draws.clouds(size, 20)))
    amount = draws.chance(0.45) * draws.uniform()
    ground = first + (second - first) * amount * torch.sigmoid(draws.uniform(0.5, 5) * texture + draws.normal())
    angle = draws.either(0.6, draws.either(0.5, math.pi / 2, 0.0), draws.uniform(0, math.pi)) + 0.04 * draws.normal()
    along, beside = angle.cos() * x + angle.sin() * y, angle.cos() * y - angle.sin() * x
    boards, thickness = draws.uniform(1, 8), draws.uniform(0.03, 0.15)
    (number, joint), (_, other) = (
        (place.floor(), (place - place.floor() < thickness).float())
        for place in (along * boards + draws.uniform(), beside * boards + draws.uniform())
    )
    kind, depth = draws.uniform(), draws.uniform(-0.4, 1.2)
    floor = 0.35 * torch.sin(13 * number + draws.uniform(0, 6.3)) - joint * depth
    structure = torch.where(kind < 0.25, floor, torch.where(kind < 0.4, -torch.maximum(joint, other) * depth, 0.0))
    structure = torch.where(kind > 0.93, (number % 2) * depth * 2, structure)
    ground = ground + structure * draws.uniform(0.05, 0.25) * (0.3 + first)
    folds = draws.either(0.5, draws.clouds(size, 3), draws.clouds(size, 7))
    ground = ground * (1 + draws.chance(0.7) * draws.uniform(0, 0.22) * folds)
    edge = torch.sigmoid(20 * (along + draws.either(0.5, 1.0, -1.0) * draws.uniform(0.5, 1))) * draws.chance(0.22)
    ground = ground * (1 - edge) + edge * draws.colour(0.4)
    is_beside = [
        (place - draws.either(0.5, 1.0, -1.0) * draws.uniform(least, 1.2)).abs() < draws.uniform(0.1, most)
        for place, least, most in ((x, 0.8, 0.4), (y, 0.5, 0.6))
    ]
    ground = torch.where(is_beside[0] & is_beside[1] & draws.chance(0.2), draws.colour(0.5), ground)
    hook = (across.abs() < draws.uniform(0.02, 0.06)) & (down < -0.85) & (down > -draws.uniform(1.1, 1.7))
    ground = torch.where(hook & draws.chance(0.2), draws.colour(0.2), ground)
    return ground * (1 + 0.08 * draws.uniform() ** 2 * draws.normal(1, size, size))


def _lit(picture: Tensor, x: Tensor, y: Tensor, draws: Draws) -> Tensor:
    """Light a picture from one side, in light of some colour, and expose it."""
    angle = draws.uniform(0, 6.3)
    lit = picture * (1 + draws.uniform(0, 0.25) * (angle.cos() * x + angle.sin() * y))
    return (lit * draws.uniform(0.88, 1.12, (3, 1, 1))).clamp(0, 1) ** torch.exp(0.3 * draws.normal())
