"""Checkpoints that were changed by somebody who means harm."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

Edit = Callable[[dict[str, Any], dict[str, Any]], Any]
"""Changes the content of a checkpoint file, or the config inside."""


def poison(path: Path, edit: Edit) -> Path:
    """A changed copy of a checkpoint, elsewhere."""
    content = torch.load(path, weights_only=True)
    own = content["fashion_lightning"]
    config = yaml.safe_load(own["config"])
    text = edit(content, config)
    if "fashion_lightning" in content:
        own["config"] = text if isinstance(text, str) else yaml.safe_dump(config)
    poisoned = Path("poisoned.ckpt")
    torch.save(content, poisoned)
    return poisoned


def setting(name: str, value: Any) -> Edit:
    """Sets a dotted name in the config."""

    def edit(_: dict[str, Any], config: dict[str, Any]) -> None:
        *sections, key = name.split(".")
        for section in sections:
            config = config[section]
        config[key] = value

    return edit


def content(*keys: Any, value: Any) -> Edit:
    """Sets something beside the config; ``...`` takes it out."""

    def edit(whole: dict[str, Any], _: dict[str, Any]) -> None:
        for key in keys[:-1]:
            whole = whole[key]
        whole[keys[-1]] = value
        if value is ...:
            del whole[keys[-1]]

    return edit


def text(config: str) -> Edit:
    """Puts other text in the place of the config."""
    return lambda *_: config


def network(place: str, value: Any) -> Edit:
    return content("hyper_parameters", "network", value=value) if place != "config" else setting("model.network", value)


def writer(class_path: str, **places: str) -> dict[str, Any]:
    return {"class_path": class_path, "init_args": places}
