"""Fashion-MNIST classifiers, trained, watched, resumed and tested with Lightning.

    names, probabilities = fashion_lightning.classify("tensorboard_logs/cnn/version_0", images)
    lightning.Trainer(max_epochs=3).fit(FashionMNISTClassifier(CNN()), datamodule=FashionMNISTDataModule())

classify(path, images)              name what images show, by a run folder or a checkpoint file
load_classifier(path)               the trained FashionMNISTClassifier of a run folder or a checkpoint file
FashionMNISTClassifier(network)     the LightningModule around any network
FashionMNISTDataModule()            the LightningDataModule: verified files, a fixed split, batches in memory
CNN()                               the default network, a plain nn.Module
CLASS_NAMES                         the ten classes in the order of their labels

help(fashion_lightning.classify) and so on say more; on the command line, `fashion-lightning --help`.
"""

# Importing this package does not import torch; each public name brings in what it needs.
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fashion_lightning.classifier import FashionMNISTClassifier as FashionMNISTClassifier
    from fashion_lightning.data.classes import CLASS_NAMES as CLASS_NAMES
    from fashion_lightning.data.datamodule import FashionMNISTDataModule as FashionMNISTDataModule
    from fashion_lightning.inference import classify as classify
    from fashion_lightning.inference import load_classifier as load_classifier
    from fashion_lightning.networks import CNN as CNN

__version__ = "0.2.0"

# No __all__: `help` would then show each of them in full, four thousand lines with all that they inherit.
_HOME = {
    "CLASS_NAMES": "data.classes",
    "CNN": "networks",
    "FashionMNISTClassifier": "classifier",
    "FashionMNISTDataModule": "data.datamodule",
    "classify": "inference",
    "load_classifier": "inference",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
