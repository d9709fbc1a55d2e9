"""The classes that have a short name on the command line: ``cnn``, ``muon``, ``cosinedecay``."""

from fashion_lightning.runs.card import NETWORKS

OPTIMIZERS = (
    *("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "LBFGS", "NAdam", "RAdam", "RMSprop"),
    *("Rprop", "SGD"),
)
"""Optimizers of ``torch.optim``."""

SCHEDULES = (
    *("ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR", "PolynomialLR", "StepLR"),
)
"""Schedules of ``torch.optim.lr_scheduler`` that go by epochs and whose arguments are numbers."""

MODULES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "network": (("fashion_lightning.networks", NETWORKS),),
    "optimizer": (("fashion_lightning.optimizers", ("Muon",)), ("torch.optim", OPTIMIZERS)),
    "scheduler": (
        ("fashion_lightning.schedules", ("LinearDecay", "CosineDecay")),
        ("torch.optim.lr_scheduler", SCHEDULES),
    ),
    "callback": (("fashion_lightning.callbacks.weight_averaging", ("WeightEMA",)),),
}
"""Modules and their classes, by the part of a config that names them."""
