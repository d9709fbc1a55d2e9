"""How often a classifier is right about photographs: of any folder of class folders.

    python benchmarks/photographs.py photographs FOLDER…
    python benchmarks/photographs.py photographs --catalogue

The class of a photograph is the name of its folder: one of the ten, or one of ``RIGHT``. ``--catalogue`` shows 5,000
validation images of the data set as catalogue pictures instead, each reduced, moved and tinted on white, in a JPEG, and
compares the answer with that to the image itself.
"""

import argparse
import io
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.data.renderings import catalogue
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
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for place in sorted(child for folder in folders for child in folder.iterdir() if child.is_dir()):
        kind = place.name.lower()
        if kind not in RIGHT:
            print(f"skipped: {place} is none of {', '.join(RIGHT)}")
            continue
        names = classifier.classify(find_pictures([str(place)])).names
        for name in names:
            for row in (kind, "shoes, all" if kind in SHOES else "garments", "all"):
                counts[row][0] += name in RIGHT[kind]
                counts[row][1] += 1
    table = Table("folder", "right", "photographs", "right, %")
    for row, (right, number) in counts.items():
        table.add_row(row, str(right), str(number), f"{100 * right / number:.1f}")
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
    given = parser.parse_args()
    classifier = load(given.run)
    if given.folders:
        Console(soft_wrap=True).print(score(classifier, given.folders))
    if given.catalogue:
        datamodule = FashionMNISTDataModule()
        datamodule.setup("validate")
        images = datamodule.val_set.images[datamodule.val_set.indices][: given.catalogue]
        random = np.random.default_rng(0)
        own = catalogue(images, classifier.images.size) if classifier.images.photographs else images
        expected = classifier.classify(own).names
        pictures = [Image.open(catalogue_picture(image, random)) for image in images[:, 0].numpy()]
        said = classifier.classify(pictures).names
        agree = np.mean([one == other for one, other in zip(expected, said, strict=True)])
        print(f"Of {len(images):,} catalogue pictures, {100 * agree:.1f} % get the class of the image itself.")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
