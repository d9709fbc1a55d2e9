"""How often `predict` says of a photograph-like rendering of an image what it says of the image itself.

    python benchmarks/photographs.py tensorboard_logs/cnn/version_0
    python benchmarks/photographs.py tensorboard_logs/cnn/version_0 --test

Images of the data set are written out as large coloured JPEGs: upscaled, tinted, laid off centre on a background,
turned as EXIF says, with noise, and compressed. Choose by validation images (the default); ``--test`` renders test
images. Beside it the usual preparation on the same files: squash to 28x28, grey, invert. A background is fair or not
to a garment by how it is drawn, so there are four ways; black is drawn on in light by two of them.
"""

import argparse
import io
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.inference import load
from fashion_lightning.photographs.prepare import prepare

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]

BACKGROUNDS = ("white", "black", "grey", "gradient", "coloured")
"""The last is not asked for by anyone, and not in the sum."""

TURNED = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}
"""How a picture is stored that a viewer turns back by its EXIF orientation."""

UPSCALINGS = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR, Image.Resampling.NEAREST)


def background(kind: str, width: int, height: int, random: np.random.Generator) -> Pixels:
    """A background ``(height, width, 3)`` float, 0 to 255."""
    grey = {"white": (240, 256), "black": (0, 16), "grey": (90, 200)}.get(kind)
    if grey:
        return np.full((height, width, 3), float(random.integers(*grey)))
    if kind == "coloured":
        return np.ones((height, width, 1)) * random.integers(40, 240, 3)
    start, end = (random.integers(90, 256) + random.integers(-15, 16, 3) for _ in range(2))
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    along = x * np.cos(angle) + y * np.sin(angle)
    along = (along - along.min()) / (along.max() - along.min())
    gradient: Pixels = np.clip(start + along[..., None] * (end - start), 0, 255)
    return gradient


def upscaled(image: Pixels, side: int, how: Image.Resampling) -> Pixels:
    """An image ``(28, 28)`` uint8 as ``(side, side)`` float."""
    return np.asarray(Image.fromarray(image).resize((side, side), how), dtype=float)


def garment_with_alpha(image: Pixels, canvas: Pixels, random: np.random.Generator) -> Pixels:
    """A cut-out garment: dark where the data are bright, lit by a slightly coloured light."""
    how = UPSCALINGS[random.integers(4)]
    values = upscaled(image, len(canvas), how)
    cut = np.where(image > (0, 5, 13)[random.integers(3)], 255, 0).astype(np.uint8)
    alpha = upscaled(cut, len(canvas), how)[..., None] / 255
    light = random.uniform(0.75, 1, 3)
    pixels: Pixels = alpha * (255 - values[..., None]) * light + (1 - alpha) * canvas
    return pixels


def garment_with_soft_alpha(image: Pixels, canvas: Pixels, random: np.random.Generator) -> Pixels:
    """As above, with an alpha that grows with the value at the outline."""
    values = upscaled(image, len(canvas), UPSCALINGS[random.integers(4)])
    alpha = np.clip(values / random.integers(10, 60), 0, 1)[..., None]
    light = random.uniform(0.75, 1, 3)
    pixels: Pixels = alpha * (255 - values[..., None]) * light + (1 - alpha) * canvas
    return pixels


def garment_as_ink(image: Pixels, canvas: Pixels, random: np.random.Generator) -> Pixels:
    """The value is the alpha of one colour, dark on a light background and light on a dark one."""
    values = upscaled(image, len(canvas), UPSCALINGS[random.integers(4)])
    dark = canvas.mean() > 100
    colour = random.integers(0, 90, 3) if dark else random.integers(170, 256, 3)
    alpha = values[..., None] / 255
    pixels: Pixels = alpha * colour + (1 - alpha) * canvas
    return pixels


def garment_as_paper(image: Pixels, canvas: Pixels, random: np.random.Generator) -> Pixels:
    """The negative, tinted, as light that falls on the background; on black the image itself, tinted."""
    values = upscaled(image, len(canvas), UPSCALINGS[random.integers(4)])[..., None]
    if canvas.mean() < 50:
        return np.maximum(canvas, values * random.uniform(0.6, 1, 3))
    pixels: Pixels = canvas * (255 - values * random.uniform(0.5, 1, 3)) / 255
    return pixels


RENDERINGS: dict[str, Callable[[Pixels, Pixels, np.random.Generator], Pixels]] = {
    "cut out": garment_with_alpha,
    "soft edge": garment_with_soft_alpha,
    "ink": garment_as_ink,
    "paper": garment_as_paper,
}


def photograph(image: Pixels, kind: str, rendering: str, random: np.random.Generator) -> bytes:
    """A JPEG file that shows an image ``(28, 28)`` uint8 on a background."""
    width, height = (int(side) for side in random.integers(500, 1200, 2))
    canvas = background(kind, width, height, random)
    side = int(min(width, height) * random.uniform(0.4, 0.9))
    left, top = int(random.integers(0, width - side + 1)), int(random.integers(0, height - side + 1))
    square = canvas[top : top + side, left : left + side]
    square[:] = np.clip(RENDERINGS[rendering](image, square.copy(), random), 0, 255)
    canvas += random.normal(0, random.uniform(0, 5), canvas.shape)
    picture = Image.fromarray(np.clip(canvas, 0, 255).round().astype(np.uint8))
    exif = Image.Exif()
    orientation = (1, 3, 6, 8)[random.integers(4)]
    exif[0x0112] = orientation
    if orientation != 1:
        picture = picture.transpose(TURNED[orientation])
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(random.integers(60, 96)), exif=exif)
    return file.getvalue()


def squashed(picture: Image.Image) -> Pixels:
    """What tutorials do: squash, grey, invert."""
    return 255 - np.asarray(picture.resize((28, 28)).convert("L"))


def images(test: bool) -> Pixels:
    """All test images, or validation images, ``(N, 28, 28)`` uint8."""
    datamodule = FashionMNISTDataModule()
    datamodule.setup("test" if test else "validate")
    dataset = datamodule.test_set if test else datamodule.val_set
    chosen: Pixels = dataset.images[dataset.indices].squeeze(1).numpy()
    return chosen


def main() -> None:
    """Render, prepare, classify and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--count", type=int, default=50, help="images for each background and rendering")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", action="store_true", help="test images; for one last look, not to choose by")
    given = parser.parse_args()
    classifier = load(given.run)
    unused = iter(images(given.test))
    table = Table("background", "rendering", "agrees, %", "squash and invert, %", "background not found")
    asked_for: list[list[float]] = []
    for kind in BACKGROUNDS:
        for rendering in RENDERINGS:
            random = np.random.default_rng([given.seed, BACKGROUNDS.index(kind), list(RENDERINGS).index(rendering)])
            originals = np.stack(list(itertools.islice(unused, given.count)))
            expected, _ = classifier.classify(originals)
            files = [photograph(image, kind, rendering, random) for image in originals]
            prepared = [prepare(Image.open(io.BytesIO(file))) for file in files]
            ours, _ = classifier.classify(np.stack([each.pixels for each in prepared]))
            naive, _ = classifier.classify(np.stack([squashed(Image.open(io.BytesIO(file))) for file in files]))
            shares = [100 * np.mean([a == b for a, b in zip(expected, said, strict=True)]) for said in (ours, naive)]
            lost = sum(each.background == "none" for each in prepared)
            table.add_row(kind, rendering, *(f"{share:.1f}" for share in shares), str(lost))
            if kind != "coloured":
                asked_for.append([float(share) for share in shares])
    table.add_section()
    table.add_row("white to gradient", "all", *(f"{share:.1f}" for share in np.mean(asked_for, axis=0)), "")
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
