"""Fashion-MNIST classifiers, trained, watched, resumed and tested with Lightning.

Importing this package does not import torch; each public name brings in what it needs.
"""

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

_HOME = {
    "CLASS_NAMES": "data.classes",
    "CNN": "networks",
    "FashionMNISTClassifier": "classifier",
    "FashionMNISTDataModule": "data.datamodule",
    "classify": "inference",
    "load_classifier": "inference",
}

__all__ = ["CLASS_NAMES", "CNN", "FashionMNISTClassifier", "FashionMNISTDataModule", "classify", "load_classifier"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
