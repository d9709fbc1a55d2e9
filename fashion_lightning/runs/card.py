"""The card of a classifier, in each checkpoint and safetensors file: all that one needs to use the weights.

A card may come from a stranger. It is JSON within bounds: a network, and a few words and numbers.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, get_args

from fashion_lightning.data.classes import FASHION_MNIST, NO_LIMITS, ImageSpec, Limits
from fashion_lightning.data.tta import TTA
from fashion_lightning.errors import UserError
from fashion_lightning.files.names import check_name

MAX_CHARACTERS = 512 * 1024
MOST_VALUES = 32
"""Most numbers and words in a network's arguments, including those in lists."""
LARGEST = 4096
"""The largest number in the arguments, such as a width."""
DEEPEST = 256
"""The largest depth; building layers takes time even if they take no memory."""

PACKAGE = "fashion_lightning.networks"
NETWORKS = ("CNN", "ConvNet", "MLP", "WideResNet")
OURS = {f"{PACKAGE}.{name}" for name in NETWORKS}

_WORD = re.compile(r"[A-Za-z0-9_-]{0,40}", re.ASCII)
"""A word without dots, so that it cannot name something to import."""
_CLASS_PATH = re.compile(r"[A-Za-z_]\w{0,100}(\.[A-Za-z_]\w{0,100}){1,9}", re.ASCII)


@dataclass(frozen=True)
class Card:
    """A card within its bounds.

    Raises:
        UserError: a value exceeds its bound; the message follows ``FILE cannot be used:``.
    """

    network: dict[str, Any]
    """``{"class_path": "fashion_lightning.networks.CNN", "init_args": {"stem": 16}}``"""
    recipe: str
    tta: TTA = "none"
    val_size: int | float = 5000
    """The number of validation images, which were not trained on, or their fraction of the training set; 0 for none."""
    images: ImageSpec = FASHION_MNIST
    limits: Limits = NO_LIMITS

    def __post_init__(self) -> None:
        val_size = self.val_size if type(self.val_size) in (int, float) else -1
        if self.tta not in get_args(TTA) or not 0 <= val_size <= 60_000:
            raise UserError("its tta or its val_size is out of bounds")
        check_name(self.recipe, "its recipe")
        if not isinstance(self.network, dict) or self.network.keys() != {"class_path", "init_args"}:
            raise UserError("its network is not a class with arguments")
        path, arguments = self.network["class_path"], self.network["init_args"]
        is_path = isinstance(path, str) and _CLASS_PATH.fullmatch(path)
        if not is_path or not isinstance(arguments, dict) or not all(_WORD.fullmatch(name) for name in arguments):
            raise UserError("its network is not a class with arguments")
        depth = arguments.get("depth", 0)
        if _count_values(list(arguments.values())) > MOST_VALUES or type(depth) is not int or depth > DEEPEST:
            raise UserError(f"its network has more than {MOST_VALUES} arguments or {DEEPEST} layers")

    def to_json(self) -> str:
        """Return the card as the text in a file."""
        return json.dumps(asdict(self))


def _count_values(value: Any) -> int:
    """Count the values in nested lists, and the lists, after checking that all are plain."""
    if isinstance(value, list):
        return 1 + sum(map(_count_values, value))
    is_number = isinstance(value, int | float) and abs(value) <= LARGEST  # not NaN
    if is_number or value is None or (isinstance(value, str) and _WORD.fullmatch(value)):
        return 1
    raise UserError(f"its network's arguments hold {str(value)[:40]!r}")


def read_card(text: Any) -> Card:
    """Read a card.

    Raises:
        UserError: it is not a card; the message follows ``FILE cannot be used:``.
    """
    if not isinstance(text, str):
        raise UserError(
            "it has no card, which says what network its weights belong to; docs/in_your_script.md shows how to load it"
        )
    try:
        values = json.loads(text if len(text) <= MAX_CHARACTERS else "")
        return Card(**{**values, "images": ImageSpec.of(values["images"]), "limits": Limits(**values["limits"])})
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError("its card is damaged") from error


def card_of(config: dict[str, Any], recipe: str, limits: Limits = NO_LIMITS) -> Card | None:
    """Make a card from a config; ``None`` if the network's arguments exceed a card's bounds."""
    model, data = config["model"], config["data"]
    network = {"init_args": {}, **model["network"]}
    module, _, name = network["class_path"].rpartition(".")
    if module.startswith(PACKAGE) and name in NETWORKS:
        network["class_path"] = f"{PACKAGE}.{name}"
    try:
        val_size = 0 if data.get("fold") else data["val_size"]  # 0: a card has no fold to validate on
        return Card(network, recipe, model["tta"], val_size, ImageSpec.of(model.get("images", {})), limits)
    except UserError:
        return None
