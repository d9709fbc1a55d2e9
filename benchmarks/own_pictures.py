"""Compare ``fit``, Keras' tutorial network and torchvision's ResNet-18 on a folder of pictures, in equal CPU time.

    python3 -m venv keras-venv && keras-venv/bin/pip install tensorflow-cpu pillow
    python benchmarks/own_pictures.py FOLDER --keras keras-venv/bin/python

All three get the same pictures at the same size, and validate on the same 15 % of each class. ``fit`` keeps 15 % of the
rest for ``test``; Keras and ResNet-18 train on all of the rest. ``fit`` runs first; the others then get as many
seconds of one CPU core as it took in all. Keras: ``image_dataset_from_directory``, and the
network with augmentation from its tutorial on image classification
(https://www.tensorflow.org/tutorials/images/classification). ResNet-18: without pretraining, with Adam 0.001, batches
of 32 and mirror images. Prints one line of JSON for each.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def split_into(target: Path, folder: Path) -> None:
    """Link the pictures of class folders into ``train`` and ``val`` folders."""
    import torch

    from fashion_lightning.data.split import stratified_order

    files = sorted(folder.glob("*/*"))
    classes = sorted({file.parent.name for file in files})
    order = stratified_order(torch.tensor([classes.index(file.parent.name) for file in files])).tolist()
    for rank, place in enumerate(order):
        file = files[place]
        link = target / ("val" if rank < 0.15 * len(files) else "train") / file.parent.name / file.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.resolve())


def ours(data: Path, size: int, arguments: list[str]) -> tuple[float, float]:
    """Run our command; return its CPU seconds and the best validation accuracy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["-m", "fashion_lightning", "fit", "--data.folder", str(data), "--data.size", str(size), *arguments]
    subprocess.run([sys.executable, *command], check=True, stdout=sys.stderr, env={**os.environ, **ONE_THREAD})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (report,) = Path("tensorboard_logs").glob("*/version_*/fit.json")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, json.loads(report.read_text())["best"]["val/accuracy"]


def keras_tutorial(data: Path, size: int, seconds: float) -> list[float]:
    """Return the validation accuracy after each epoch that ends within ``seconds`` of this process's CPU time."""
    import keras

    layers, accuracies = keras.layers, list[float]()
    train, val = (
        keras.utils.image_dataset_from_directory(data / part, seed=123, image_size=(size, size), batch_size=32)
        for part in ("train", "val")
    )
    model = keras.Sequential([layers.Input((size, size, 3)), layers.RandomFlip("horizontal")])
    for layer in (layers.RandomRotation(0.1), layers.RandomZoom(0.1), layers.Rescaling(1 / 255)):
        model.add(layer)
    for width in (16, 32, 64):
        model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    for layer in (layers.Dropout(0.2), layers.Flatten(), layers.Dense(128, activation="relu")):
        model.add(layer)
    model.add(layers.Dense(len(train.class_names)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    train, val = train.cache(), val.cache()
    while time.process_time() < seconds:
        history = model.fit(train.shuffle(1000), validation_data=val, verbose=0).history
        accuracies += history["val_accuracy"] if time.process_time() < seconds else []
    return accuracies


def resnet18(data: Path, size: int, seconds: float) -> list[float]:
    """Return the same for torchvision's ResNet-18; decode the pictures once."""
    import torch
    from torch.nn.functional import cross_entropy
    from torchvision.datasets import ImageFolder
    from torchvision.models import resnet18 as network
    from torchvision.transforms import v2

    to_tensor = v2.Compose([v2.Resize((size, size)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    folders = [ImageFolder(data / part, to_tensor) for part in ("train", "val")]
    (x, y), (x_val, y_val) = (
        (torch.stack([image for image, _ in part]), torch.tensor(part.targets)) for part in folders
    )
    torch.manual_seed(0)
    model, accuracies = network(weights=None, num_classes=len(folders[0].classes)), list[float]()
    optimizer = torch.optim.Adam(model.parameters())
    while time.process_time() < seconds:
        model.train()
        for batch in torch.split(torch.randperm(len(x)), 32):
            images = torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, x[batch], x[batch].flip(-1))
            optimizer.zero_grad()
            torch.autograd.backward(cross_entropy(model(images), y[batch]))
            optimizer.step()
        with torch.inference_mode():
            guess = torch.cat([model.eval()(part).argmax(1) for part in torch.split(x_val, 200)])
        accuracies += [(guess == y_val).double().mean().item()] if time.process_time() < seconds else []
    return accuracies


OTHERS = {"Keras, tutorial": keras_tutorial, "ResNet-18": resnet18}


def main() -> None:
    """Run all three, or with ``--only`` one of the others in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keras", default=sys.executable, help="the path of a Python with tensorflow-cpu")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--only", choices=OTHERS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    given, more = parser.parse_known_args()  # the rest goes to our command
    if given.only:
        accuracies = OTHERS[given.only](given.folder, given.size, given.seconds)
        told: dict[str, Any] = {"epochs": len(accuracies), "best": max(accuracies), "last": accuracies[-1]}
        print(json.dumps({"what": given.only, "seconds": round(given.seconds), **told}), flush=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder, keras = (
            given.folder.resolve(),
            str(Path(given.keras).absolute()),
        )  # a link stays
        os.chdir(scratch)
        split_into(data := Path(scratch) / "pictures", folder)
        seconds, accuracy = ours(data, given.size, more)
        print(json.dumps({"what": "fashion-lightning", "seconds": round(seconds), "best": accuracy}), flush=True)
        for what in OTHERS:
            python = keras if what.startswith("Keras") else sys.executable
            rest = ["--only", what, "--size", str(given.size), "--seconds", str(seconds)]
            subprocess.run([python, __file__, str(data), *rest], check=True, env={**os.environ, **ONE_THREAD})


if __name__ == "__main__":
    main()
