"""Compare the speed of an exported classifier in onnxruntime with torch, and measure the accuracy lost with int8.

    python benchmarks/exported.py tensorboard_logs/cnn/version_0

Times go from uint8 images to probabilities; the programs take turns in each round. The int8 file is quantized
statically (QDQ) and calibrated on training images; accuracies are on the 5,000 validation images. Needs the extra
``export``.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data import source
from fashion_lightning.data.batches import EVAL_BATCH_SIZE
from fashion_lightning.data.split import train_val_indices
from fashion_lightning.export.formats import load_onnx, write_onnx
from fashion_lightning.export.graph import exporting, trace
from fashion_lightning.inference import classify as classify_images
from fashion_lightning.inference import load

ROUNDS, CALLS = 7, 10
CALIBRATION_IMAGES, VALIDATION_IMAGES = 1000, 5000

Classify = Callable[[Tensor], Tensor]


class TrainingImages(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Batches of images ``(N, 1, 28, 28)`` uint8, from which quantization takes the ranges of activations."""

    def __init__(self, images: Tensor) -> None:
        self.batches: Iterator[Tensor] = iter(torch.split(images, 100))

    def get_next(self) -> dict[str, object] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch.numpy()}


def quantized(content: bytes, images: Tensor) -> bytes:
    """Return the content of an ONNX file with 8-bit weights and activations, calibrated on images."""
    with tempfile.TemporaryDirectory() as scratch:
        whole, prepared, small = (Path(scratch) / name for name in ("whole.onnx", "prepared.onnx", "small.onnx"))
        whole.write_bytes(content)
        quant_pre_process(whole, prepared, skip_symbolic_shape=True)
        quantize_static(prepared, small, TrainingImages(images), quant_format=QuantFormat.QDQ, per_channel=True)
        return small.read_bytes()


def torch_in(dtype: torch.dtype, classifier: FashionMNISTClassifier) -> Classify:
    """Return ``classify`` as a function, with autocast if ``dtype`` is bfloat16."""

    def classify(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            return classify_images(classifier, images)[1]

    return classify


def seconds(classify: Classify, images: Tensor, calls: int) -> float:
    """Return the mean seconds of one call, over ``calls`` in a row."""
    classify(images)
    began = time.perf_counter()
    for _ in range(calls):
        classify(images)
    return (time.perf_counter() - began) / calls


def main(path: str) -> None:
    """Measure and print."""
    images, labels = source.load("train")
    train, val = train_val_indices(labels, VALIDATION_IMAGES, None)
    classifier = load(path)
    with exporting(classifier):
        content = write_onnx(trace(classifier), {})
    logging.disable(logging.WARNING)  # quantization advice, which is followed above
    small = quantized(content, images[train[:CALIBRATION_IMAGES]])
    classifier = load(path)  # channels_last again
    programs: dict[str, tuple[Classify, int | None]] = {
        "torch, fp32": (torch_in(torch.float32, classifier), None),
        "torch, bf16": (torch_in(torch.bfloat16, classifier), None),
        "onnxruntime, fp32": (load_onnx(content), len(content)),
        "onnxruntime, int8": (load_onnx(small), len(small)),
    }
    times: dict[tuple[str, int], list[float]] = {(name, size): [] for name in programs for size in (1, 200)}
    for _ in range(ROUNDS):
        for (name, size), measured in times.items():
            measured.append(seconds(programs[name][0], images[:size], CALLS * 10 if size == 1 else CALLS))
    table = Table("program", "1 image, ms", "200 images, ms", "images a second", "accuracy, %", "file, MB")
    for name, (classify, file_size) in programs.items():
        one, many = median(times[name, 1]), median(times[name, 200])
        answers = torch.cat([classify(part).argmax(dim=1) for part in torch.split(images[val], EVAL_BATCH_SIZE)])
        accuracy = (answers == labels[val]).double().mean().item()
        megabytes = "" if file_size is None else f"{file_size / 1e6:.2f}"
        table.add_row(name, f"{1e3 * one:.2f}", f"{1e3 * many:.1f}", f"{200 / many:,.0f}", f"{accuracy:.2%}", megabytes)
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
