"""Write fashion_lightning/report/near_duplicates.csv: test images that nearly equal a training image or its mirror.

    python3 benchmarks/near_duplicates.py

Compares each test image with each training image, in 20 s of CPU time. The limit was chosen by looking at pairs: up to
15 grey levels apart, both have the same label; at 18, about 3 % have different labels; beyond 20, more and more are
different products of the same cut. Half of all pairs are trousers, which look alike.
"""

import csv
import hashlib

from fashion_lightning.data import source
from fashion_lightning.report.findings import FILE, LIMIT, TEST_IMAGES

AT_ONCE = 250
"""Test images to compare at once; limits the distances to 60 MB of memory."""


def main() -> None:
    """Write the file."""
    images, training = source.load("test", None)[0], source.load("train", None)[0]
    assert hashlib.sha256(images.numpy().tobytes()).hexdigest() == TEST_IMAGES
    known = training.flatten(1).float()
    norms = known.square().sum(dim=1)
    pixels = known.shape[1]
    nearest: dict[int, tuple[float, int, int]] = {}  # by test image: distance, training image, mirrored
    for mirrored, views in enumerate((images, images.flip(-1))):
        for first in range(0, len(views), AT_ONCE):
            part = views[first : first + AT_ONCE].flatten(1).float()
            squares = norms - 2 * part @ known.T + part.square().sum(dim=1, keepdim=True)
            for row, other in (squares <= 1.01 * LIMIT**2 * pixels).nonzero().tolist():  # with a margin for float32
                distance = (part[row] - known[other]).square().mean().sqrt().item()
                if distance <= LIMIT:
                    index = first + row
                    nearest[index] = min(nearest.get(index, (distance, other, mirrored)), (distance, other, mirrored))
    with FILE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["test_image", "training_image", "mirrored", "distance"])
        for index, (distance, other, mirrored) in sorted(nearest.items()):
            table.writerow([index, other, mirrored, f"{distance:.3f}"])
    print(f"{len(nearest):,} of {len(images):,} test images have a near-duplicate: {FILE}")


if __name__ == "__main__":
    main()
