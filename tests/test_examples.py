"""The examples in docstrings and the notebook of ``examples/``, on generated data."""

import doctest
import shutil
from importlib import import_module
from pathlib import Path

import nbclient
import nbformat
import pytest
import torch

import fashion_lightning
from fashion_lightning.data import source
from tests.conftest import TINY_RECIPE
from tests.served import shirt

PACKAGE = Path(fashion_lightning.__file__).parent
MODULES = [path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.usefixtures("on_generated_data")
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
) -> None:
    shutil.copytree(trained, trained.parents[1] / "cnn" / "version_0")
    recipe.rename("my_recipe.yaml")
    for name in ("shirt.jpg", "bag.png"):
        shirt(300, 200).save(name)
    found = import_module(".".join(("fashion_lightning", *module.relative_to(PACKAGE).with_suffix("").parts)))
    result = doctest.testmod(
        found,
        extraglobs={"fashion_lightning": fashion_lightning, "torch": torch, "images": source.load("test", data)[0]},
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert result.attempted
    assert not result.failed


NOTEBOOK = Path(__file__).parents[1] / "examples" / "fashion_mnist.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own packages
def test_every_cell_of_the_notebook_runs(
    recipe: Path, command_on_generated_data: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    Path("quick").write_text(TINY_RECIPE)  # a file wins over a recipe of its name
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    on_generated_data = (
        "from fashion_lightning import from_python\n"
        "from fashion_lightning.data import source\n"
        f"source.SHA256.update({source.SHA256!r})\n"
        f"from_python.PROGRAM = {command_on_generated_data!r}\n"
        "import fashion_lightning\n"
        "class Small(fashion_lightning.FashionMNISTDataModule):\n"
        "    def __init__(self): super().__init__(val_size=100)\n"
        "fashion_lightning.FashionMNISTDataModule = Small\n"
    )
    notebook.cells.insert(0, nbformat.v4.new_code_cell(on_generated_data))  # type: ignore[no-untyped-call]
    nbclient.NotebookClient(notebook, timeout=120).execute()  # raises what a cell raises
    assert Path("model.onnx").is_file()
    assert recipe.is_file()
