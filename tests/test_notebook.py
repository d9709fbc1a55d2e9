"""The notebook in ``examples/``, cell by cell, on generated data."""

from pathlib import Path

import nbclient
import nbformat
import pytest

from fashion_lightning.data import source
from tests.conftest import TINY_RECIPE

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


def test_its_saved_outputs_are_those_of_one_run_from_top_to_bottom_and_small() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs or cell.source.startswith("import") for cell in code)
    assert NOTEBOOK.stat().st_size < 60_000
