"""Fashion-MNIST classifiers, trained, watched, resumed and tested with Lightning.

    run = fashion_lightning.fit("quick", epochs=3)
    names, probabilities = fashion_lightning.load(run).classify("shirt.jpg")
    lightning.Trainer(max_epochs=3).fit(FashionMNISTClassifier(CNN()), datamodule=FashionMNISTDataModule())

fit(recipe, **settings)             train as the command does, and return the run folder
load(run)                           load the trained FashionMNISTClassifier of a run or a checkpoint file
classify(run, images)               classify photographs, arrays or tensors, with a run or a classifier
FashionMNISTClassifier(network)     the LightningModule around any network; CNN() is the default network
FashionMNISTDataModule()            the LightningDataModule: verified files, a fixed split, images in memory
For details: help(fashion_lightning.fit) and so on; on the command line, `fashion-lightning --help`.
"""

# Importing this package does not import torch; each public name is imported when it is first used.
import typing
from importlib import import_module
from typing import Any

from fashion_lightning.version import __version__ as __version__

if typing.TYPE_CHECKING:
    from fashion_lightning.classifier import FashionMNISTClassifier as FashionMNISTClassifier
    from fashion_lightning.data.classes import CLASS_NAMES as CLASS_NAMES
    from fashion_lightning.data.datamodule import FashionMNISTDataModule as FashionMNISTDataModule
    from fashion_lightning.from_python import fit as fit
    from fashion_lightning.inference import classify as classify
    from fashion_lightning.inference import load as load
    from fashion_lightning.networks import CNN as CNN


# No __all__: with it, `help` would show each name in full, four thousand lines with all inherited methods.
_HOME = {
    "CLASS_NAMES": "data.classes",
    "CNN": "networks",
    "FashionMNISTClassifier": "classifier",
    "FashionMNISTDataModule": "data.datamodule",
    "classify": "inference",
    "fit": "from_python",
    "load": "inference",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
