"""The examples in docstrings, on generated data."""

import doctest
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fashion_lightning
from fashion_lightning import from_python
from fashion_lightning.data import source

PACKAGE = Path(fashion_lightning.__file__).parent
MODULES = [path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem == "from_python" else [])
        for path in MODULES
    ],
)
def test_the_examples_of_a_docstring_are_true(
    module: Path,
    trained: Path,
    recipe: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    command_on_generated_data: list[str],
) -> None:
    monkeypatch.setattr(from_python, "PROGRAM", tuple(command_on_generated_data))
    shutil.copytree(trained, trained.parents[1] / "cnn" / "version_0")
    recipe.rename("my_recipe.yaml")
    picture = np.full((200, 300, 3), 250, np.uint8)
    picture[60:150, 100:180] = 90, 40, 60
    for name in ("shirt.jpg", "bag.png"):
        Image.fromarray(picture).save(name)
    found = import_module(".".join(("fashion_lightning", *module.relative_to(PACKAGE).with_suffix("").parts)))
    result = doctest.testmod(
        found,
        extraglobs={"fashion_lightning": fashion_lightning, "torch": torch, "images": source.load("test", data)[0]},
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert result.attempted
    assert not result.failed
