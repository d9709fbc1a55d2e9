"""The classes that a checkpoint may name: a list, and nothing beside it.

Building what a config names means importing and calling it. torch, torchvision and lightning hold hundreds of
callables that read, write, download, compile or call; a list of those to leave out would never be complete.
"""

import math
import re
from collections.abc import Callable, Collection
from functools import cache, partial
from importlib import import_module
from typing import Any

from fashion_lightning import short_names
from fashion_lightning.errors import UserError

LAYERS = (
    *("Linear", "Bilinear", "Identity", "Flatten", "Unflatten", "Conv1d", "Conv2d", "ConvTranspose2d"),
    *("BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "InstanceNorm2d", "LocalResponseNorm", "RMSNorm"),
    *("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "ZeroPad2d", "ReflectionPad2d"),
    *("Dropout", "Dropout2d", "AlphaDropout", "Upsample", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle"),
    *("ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "Tanh"),
    *("Hardswish", "Hardsigmoid", "Hardtanh", "Softplus", "Softsign", "Softmax", "LogSoftmax"),
)
"""Of ``torch.nn``, whose constructors make one layer and no loop: parts of a user's own network."""

MODULES = {"layer": (("torch.nn", LAYERS),), **short_names.MODULES}

REPEATED = {
    "optimizer.newton_schulz_steps": 100,
    "optimizer.max_iter": 10_000,
    "optimizer.max_eval": 10_000,
    "optimizer.history_size": 10_000,
}
"""Arguments that say how often an optimizer does something within one step, which no Ctrl-C waits for; and the most of
each that a checkpoint may give."""

MOST_IN_LIST = 1000
"""Values in a list of arguments: jsonargparse takes minutes to look at ten thousand."""

NOT_ALLOWED = (
    "which a checkpoint may not: it is no class of this package's or torch's list, and was not imported. If you trust"
    " it, name it yourself, on the command line, in a config file, or in Python with trusted=…"
)

_WORD = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""A string among the arguments of a class: ``same``, ``reflect``, ``mean``; no path, no import path."""

IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
"""``package.module.Class``"""


@cache
def allowed_classes(part: str) -> dict[str, type]:
    """The classes of a part of a config by the import paths that name them, short and whole."""
    found: dict[str, type] = {}
    for module, names in MODULES[part]:
        for name in names:
            cls: type = getattr(import_module(module), name)
            found |= {f"{module}.{name}": cls, f"{cls.__module__}.{cls.__qualname__}": cls}
    return found


class Spec:
    """A class and its arguments, as a config names them, checked.

    Args:
        value: ``{"class_path": …, "init_args": {…}}``, or the import path alone.
        part: of the config: ``network``, ``optimizer``, ``scheduler`` or ``callback``.
        named: import paths that the user has named, which may be used beside the list.

    Raises:
        UserError: it names anything else, or its arguments are not plain numbers, words, lists and further such
            classes.
    """

    def __init__(self, value: object, part: str, named: Collection[str] = ()) -> None:
        if isinstance(value, str):
            value = {"class_path": value}
        if not isinstance(value, dict) or not value.keys() <= {"class_path", "init_args"}:
            raise UserError(f"its {part} is not a class with arguments")
        path, arguments = value.get("class_path"), value.get("init_args")
        arguments = {} if arguments is None else arguments  # a tensor has no truth
        if not isinstance(path, str) or (path not in allowed_classes(part) and path not in named):
            shown = path[:80] if isinstance(path, str) and IMPORT_PATH.fullmatch(path) else repr(str(path)[:80])
            raise UserError(f"its {part} names {shown}, {NOT_ALLOWED}")
        if not isinstance(arguments, dict) or not all(isinstance(key, str) and key.isidentifier() for key in arguments):
            raise UserError(f"the arguments of its {part} have no names")
        self.path, self.named = path, named
        self.is_own = path not in allowed_classes(part)
        """Whether it is a class of the user's."""
        self.arguments = {key: self._checked(argument, f"{part}.{key}") for key, argument in arguments.items()}
        self.cls = None if self.is_own else allowed_classes(part)[path]

    def _checked(self, value: object, place: str) -> object:
        if isinstance(value, bool | None):
            return value
        if isinstance(value, int | float):
            if abs(value) > REPEATED.get(place, 2**53) or math.isnan(value):
                raise UserError(f"its {place} is {str(value)[:30]}, beyond what can be meant")
            return value
        if isinstance(value, list):
            if len(value) > MOST_IN_LIST:
                raise UserError(f"its {place} is a list of {len(value):,}, beyond what can be meant")
            return [self._checked(item, place) for item in value]
        if isinstance(value, dict) and self.is_own:
            if "class_path" in value:
                layer = Spec(value, "layer", self.named)
                return layer.as_config()
            return {str(key): self._checked(item, place) for key, item in value.items()}
        if isinstance(value, str):
            own_part = self.is_own and (value in allowed_classes("layer") or value in self.named)
            if own_part or _WORD.fullmatch(value):
                return value
            kind = NOT_ALLOWED if IMPORT_PATH.fullmatch(value) else "which is more than a word"
            raise UserError(f"its {place} is {value[:80]!r}, {kind}")
        raise UserError(f"its {place} is a {type(value).__name__}, no number, word or list of them")

    def as_config(self) -> dict[str, Any]:
        """The same for a config."""
        return {"class_path": self.path, "init_args": self.arguments}

    def factory(self) -> Callable[..., Any]:
        """What makes an optimizer or a schedule of the list, given the parameters or the optimizer that it is for."""
        assert self.cls is not None
        return partial(self.cls, **self.arguments)

    def build(self) -> Any:
        """An instance of a class of the list; one of the user's is imported."""
        if self.cls is not None:
            return self.cls(**self.arguments)
        from jsonargparse import ArgumentParser
        from torch import nn

        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--network", type=nn.Module)
        config = parser.parse_object({"network": self.as_config()})
        return parser.instantiate_classes(config)["network"]
