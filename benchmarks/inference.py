"""Measure a classifier's speed: images per second in batches, and the latency of a single image.

    python benchmarks/inference.py tensorboard_logs/cnn/version_0

Times whole calls of ``classify``, from uint8 images to names and probabilities.
"""

import sys
import time
from statistics import median, quantiles

import torch
from rich.console import Console
from rich.table import Table

from fashion_lightning.inference import load
from fashion_lightning.networks.precision import default_precision

ROUNDS = 20


def seconds(call: object, rounds: int = ROUNDS) -> list[float]:
    """Return the seconds of each of ``rounds`` calls, after two for warming up."""
    times = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        call()  # type: ignore[operator]
        times.append(time.perf_counter() - began)
    return times[2:]


def main(path: str) -> None:
    """Measure and print."""
    classifier = load(path)
    classifier.network.to(memory_format=torch.channels_last)
    table = Table("precision", "batch", "images a second", "latency, ms", "95 % below, ms")
    precisions = ["32-true", *(["bf16-mixed"] if default_precision() == "bf16-mixed" else [])]
    for precision in precisions:
        for size in (1, 10, 100, 1000):
            images = torch.randint(0, 256, (size, 28, 28), dtype=torch.uint8)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
                times = seconds(lambda images=images: classifier.classify(images), 200 if size == 1 else ROUNDS)
            middle, high = 1000 * median(times), 1000 * quantiles(times, n=20)[-1]
            table.add_row(precision, str(size), f"{1000 * size / middle:,.0f}", f"{middle:.2f}", f"{high:.2f}")
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
