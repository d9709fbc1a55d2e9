"""Train the network of original 002 in Keras, as its README describes it, for comparison.

    python3 -m venv keras-venv && keras-venv/bin/pip install tensorflow-cpu
    keras-venv/bin/python benchmarks/keras_two_conv.py --epochs 20

Two convolutions, max pooling, dropout, a dense layer of 400, dropout; Adam 0.001, batches of 64. Trains on all 60,000
images and validates on the 10,000 test images, as the original does. Prints one line of JSON for each epoch: seconds so
far, and accuracy on the test images.
"""

import argparse
import gzip
import json
import time
from pathlib import Path

import keras
import numpy as np
from data_files import data_folder


def read(raw: Path, name: str, offset: int) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """Return the bytes of an IDX file after its header."""
    return np.frombuffer(gzip.decompress((raw / f"{name}.gz").read_bytes()), np.uint8, offset=offset)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--root", type=Path, help="where the four files are; by default, as for fit")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    keras.utils.set_random_seed(given.seed)
    raw = data_folder(given.root)
    pairs = [
        (read(raw, f"{split}-images-idx3-ubyte", 16), read(raw, f"{split}-labels-idx1-ubyte", 8))
        for split in ("train", "t10k")
    ]
    (x, y), test = [(images.reshape(-1, 28, 28, 1).astype("float32") / 255, labels) for images, labels in pairs]
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(400, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.001), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    began = time.perf_counter()

    def print_epoch(epoch: int, logs: dict[str, float]) -> None:
        seconds = round(time.perf_counter() - began, 2)
        print(json.dumps({"epoch": epoch + 1, "seconds": seconds, "test_accuracy": logs["val_accuracy"]}), flush=True)

    printer = keras.callbacks.LambdaCallback(on_epoch_end=print_epoch)
    model.fit(x, y, batch_size=64, epochs=given.epochs, validation_data=test, callbacks=[printer], verbose=0)


if __name__ == "__main__":
    main()
