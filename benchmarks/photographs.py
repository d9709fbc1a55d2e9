"""Measure how often a classifier is right about the photographs in class folders.

    python benchmarks/photographs.py photographs FOLDER…
    python benchmarks/photographs.py photographs --catalogue
    python benchmarks/photographs.py photographs --nothing [FOLDER…]

The class of a photograph is the name of its folder: one of the ten, or one of ``RIGHT``. ``--catalogue`` classifies
5,000 validation images as catalogue pictures (enlarged, moved and tinted on white, as JPEG), and compares the answers
with those for the images themselves. ``--nothing`` counts pictures without a garment that are called one:
printed digits, noise, backgrounds, and the pictures of folders.
"""

import argparse
import io
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from fashion_lightning.data.augment import Part
from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.data.renderings import Draws, catalogue, render
from fashion_lightning.inference import TrainedClassifier, load
from fashion_lightning.photographs.files import find_pictures
from fashion_lightning.photographs.prepare import Pixels

RIGHT = {
    "dress": {"Dress"},
    "longsleeve": {"Pullover", "Shirt", "T-shirt/top"},
    "outwear": {"Coat"},
    "pants": {"Trouser"},
    "shirt": {"Shirt"},
    "shoes": {"Sneaker", "Ankle boot", "Sandal"},
    "t-shirt": {"T-shirt/top"},
    **{name.lower().replace("/", " or "): {name} for name in CLASS_NAMES},
}
"""Classes that count as right, by the folder's name. Shoes have a separate sum: they lie in pairs, seen from above."""

SHOES = {"shoes", "sneaker", "ankle boot", "sandal"}


def score(classifier: TrainedClassifier, folders: list[Path]) -> Table:
    """Classify the photographs of class folders."""
    counts: dict[str, Any] = defaultdict(lambda: np.zeros(7, int))
    for place in sorted(child for folder in folders for child in folder.iterdir() if child.is_dir()):
        kind = place.name.lower()
        if kind not in RIGHT:
            print(f"skipped: {place} is none of {', '.join(RIGHT)}")
            continue
        found = classifier.classify(find_pictures([str(place)]))
        for name, likely in zip(found.names, found.likely, strict=True):
            covered, one = bool(RIGHT[kind] & set(likely)), len(likely) == 1
            for row in (kind, "shoes, all" if kind in SHOES else "garments", "all"):
                counts[row] += (1, name in RIGHT[kind], not likely, covered, len(likely), one, one and covered)
    table = Table("", "photographs", "right, %", "none, %", "a right one likely, %", "likely", "one, %", "and right, %")
    for row, (number, right, none, covered, likely, one, right_one) in counts.items():
        shares = (right / number, none / number, covered / number, likely / number / 100, one / number)
        cells = [f"{100 * share:.4g}" for share in (*shares, right_one / max(one, 1))]
        table.add_row(row, str(number), *cells)
    return table


def digit(random: np.random.Generator) -> Image.Image:
    """Print a digit somewhere, in two colours."""
    picture = Image.new("RGB", (200, 200), tuple(random.integers(0, 256, 3).tolist()))
    place, ink = tuple(random.integers(10, 90, 2).tolist()), tuple(random.integers(0, 256, 3).tolist())
    font = ImageFont.load_default(int(random.integers(50, 150)))
    ImageDraw.Draw(picture).text(place, str(random.integers(10)), ink, font)
    return picture


def noise(random: np.random.Generator) -> Image.Image:
    """Draw noise of any grain and contrast, grey or in colour."""
    cells, channels = int(random.choice([4, 12, 48, 200])), int(random.choice([1, 3]))
    values = 128 + random.uniform(10, 128) * random.uniform(-1, 1, (cells, cells, channels))
    whole = np.broadcast_to(values.astype(np.uint8), (cells, cells, 3))
    return Image.fromarray(whole).resize((200, 200), Image.Resampling.NEAREST)


def without_garments(classifier: TrainedClassifier, folders: list[Path]) -> Table:
    """Count the pictures without a garment that are called one: drawn ones, and those in folders."""
    random, black = np.random.default_rng(0), torch.zeros(1000, 1, 28, 28, dtype=torch.uint8)
    kinds: dict[str, Any] = {
        "digits, printed": [digit(random) for _ in black],
        "noise": [noise(random) for _ in black],
        "backgrounds": render(black, Draws(torch.Generator(), Part(1000), black.device), classifier.images.size),
        **{str(folder): find_pictures([str(folder)]) for folder in folders},
    }
    table = Table("without a garment", "pictures", "called a garment, %")
    for kind, pictures in kinds.items():
        called = [bool(names) for names in classifier.classify(pictures).likely]
        table.add_row(kind, str(len(called)), f"{100 * np.mean(called):.1f}")
    return table


def catalogue_picture(image: Pixels, random: np.random.Generator) -> io.BytesIO:
    """Show an image ``(28, 28)`` uint8 somewhere on a large white picture: a JPEG file."""
    width, height = (int(edge) for edge in random.integers(500, 1200, 2))
    side = int(min(width, height) * random.uniform(0.4, 0.9))
    left, top = int(random.integers(width - side + 1)), int(random.integers(height - side + 1))
    values = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), float)[..., None]
    canvas = np.full((height, width, 3), random.uniform(240, 255))
    canvas[top : top + side, left : left + side] *= 1 - values * random.uniform(0.75, 1, 3) / 255
    canvas += random.normal(0, random.uniform(0, 5), canvas.shape)
    file = io.BytesIO()
    Image.fromarray(canvas.clip(0, 255).round().astype(np.uint8)).save(
        file, "JPEG", quality=int(random.integers(60, 96))
    )
    return file


def main() -> None:
    """Score, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--catalogue", type=int, nargs="?", const=5000, default=0, metavar="COUNT")
    parser.add_argument("--nothing", type=Path, nargs="*", metavar="FOLDER")
    given = parser.parse_args()
    classifier = load(given.run)
    if given.folders:
        Console(soft_wrap=True).print(score(classifier, given.folders))
    if given.nothing is not None:
        Console(soft_wrap=True).print(without_garments(classifier, given.nothing))
    if given.catalogue:
        datamodule = FashionMNISTDataModule()
        datamodule.setup("validate")
        images = datamodule.val_set.images[datamodule.val_set.indices][: given.catalogue]
        random = np.random.default_rng(0)
        own = catalogue(images, classifier.images.size) if classifier.images.photographs else images
        pictures = [Image.open(catalogue_picture(image, random)) for image in images[:, 0].numpy()]
        said = zip(classifier.classify(own).names, classifier.classify(pictures).names, strict=True)
        agree = np.mean([one == other for one, other in said])
        print(f"Of {len(images):,} catalogue pictures, {100 * agree:.1f} % get the class of the image itself.")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
