"""What a user gets and adds: the wheel, the documents' examples, and one's own parts where they are named."""

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

import nbclient
import nbformat
import pytest
import torch

import fashion_lightning
from fashion_lightning.data import source
from fashion_lightning.runs.own_modules import look_in_working_folder
from tests.conftest import ROOT, RUN, TINY_RECIPE, Run, command_with_hashes
from tests.served import shirt
from tests.test_strangers_checkpoint import checkpoint, network
from tests.test_tensorboard import curve

NETWORK = """
import torch
from torch import Tensor, nn

from own_layers import flat


class MyNetwork(nn.Module):
    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(784, channels), nn.ReLU(), nn.Linear(channels, 10))
        self.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(flat(images))
"""


@pytest.fixture
def own_package(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module in the working folder, which has another module beside it."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place and place != str(Path.cwd())])
    monkeypatch.delitem(sys.modules, "own_layers", raising=False)
    name = f"package_of_{re.sub(r'[^a-z0-9]+', '_', request.node.name)[-45:]}"  # Python keeps what it has imported
    Path(f"{name}.py").write_text(NETWORK)
    Path("own_layers.py").write_text("def flat(images):\n    return images.flatten(1)\n")
    return name


@pytest.mark.slow
def test_it_is_trained_tested_and_continued(cli: Run, recipe: Path, own_package: str) -> None:
    cli("fit", "--config", recipe, "--network", f"{own_package}.MyNetwork", "--epochs", "1")
    sys.path.remove(str(Path.cwd()))  # as another process begins
    # Not set to the images' one channel.
    assert fashion_lightning.load("MyNetwork").state_dict()["network.layers.0.bias"].shape == (64,)
    cli("test", "--ckpt_path", "MyNetwork")  # the run's config.yaml is the user's own
    cli("fit", "--ckpt_path", "MyNetwork", "--epochs", "2")


def test_a_file_brings_nothing_in_from_the_working_folder(cli: Run, own_package: str) -> None:
    path = checkpoint(card=network(f"{own_package}.MyNetwork"))
    assert f"its network is {own_package}.MyNetwork" in cli("test", "--ckpt_path", path, exits=2)
    assert own_package not in sys.modules
    assert str(Path.cwd()) not in sys.path


def test_the_working_folder_hides_no_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place and place != str(tmp_path)])
    Path("yaml.py").write_text("raise SystemExit")
    Path("colorsys.py").write_text("raise SystemExit")
    look_in_working_folder({"yaml.SafeLoader", "colorsys.x", "nowhere.X"})
    assert str(tmp_path) not in sys.path
    Path("mine").mkdir()
    look_in_working_folder({"mine.X"})
    assert sys.path[-1] == str(tmp_path)


def blocks_of(page: str, section: str = "") -> dict[str, str]:
    """The files that a page shows below a heading, by the name in their first line."""
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"## {section}")[2]
    shown = re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return dict(shown)


@pytest.mark.slow
def test_what_the_documents_say_of_a_network_of_ones_own_works_as_pasted(
    data: Path, command_on_generated_data: list[str]
) -> None:
    files = blocks_of("docs/recipes.md", "Your network")
    assert files.keys() >= {"my_package.py", "my_recipe.yaml"}
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")
    small = ["--data.root", str(data), "--data.val_size", "100", "--epochs", "1", "--batch_size", "50"]
    for arguments in (
        ["fit", "--config", "my_recipe.yaml", *small],
        ["test", "--ckpt_path", "my_recipe", "--data.root", str(data)],
    ):
        # -P: as the installed command, which does not look into the working folder by itself
        command = [sys.executable, "-P", command_on_generated_data[1], *arguments]
        done = subprocess.run(command, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr


SMALL = ("--data.val_size=100", "--batch_size=50", "--epochs=1", "--trainer.accelerator=cpu")


def run(name: str, text: str) -> dict[str, object]:
    """Execute a block with settings for few images, and return its variables."""
    variables: dict[str, object] = {"__name__": name}
    exec(text.replace("batch_size=128", "batch_size=50, val_size=100"), variables)
    return variables


@pytest.mark.slow
def test_a_loss_a_metric_and_a_schedule_of_ones_own_train_and_decide(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(recipe.parent)])
    files = blocks_of("docs/recipes.md", "Your loss")
    assert files.keys() == {"my_parts.py", "my_parts.yaml"}
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")
    cli("fit", "--config", recipe, "--config", "my_parts.yaml", "--epochs", "3", *SMALL[:2], "--model.optimizer", "sgd")
    best, own = json.loads((RUN / "fit.json").read_text())["best"], curve(RUN, "val/macro_f1")
    assert best["val/macro_f1"] == max(value for _, value in own)
    assert len(own) == 3
    cli("test", "--ckpt_path", RUN)


@pytest.mark.slow
def test_a_metric_that_nothing_logs_ends_the_fit_in_one_line(cli: Run, recipe: Path) -> None:
    preset = Path(__file__).parents[1] / "configs/presets/every_epoch.yaml"
    for monitor in ("best_checkpoint", "early_stopping"):
        wrong = (
            "--config",
            recipe,
            "--config",
            preset,
            f"--{monitor}.monitor",
            "val/mine",
            "--early_stopping.patience=2",
        )
        assert "`val/mine`" in cli("fit", *wrong, exits=2).replace("'val/mine'", "`val/mine`")


@pytest.mark.slow
@pytest.mark.usefixtures("recipe")  # it puts the data beside the script
@pytest.mark.filterwarnings("ignore")
def test_the_data_the_classifier_and_the_weights_serve_scripts_of_ones_own(cli: Run) -> None:
    files = blocks_of("docs/in_your_script.md")
    assert files.keys() == {"other_module.py", "stock_trainer.py", "plain_torch.py"}
    run("other_module", files["other_module.py"])
    run("stock_trainer", files["stock_trainer.py"])
    cli("fit", "--config", "cnn", *SMALL)
    shown = run("plain_torch", files["plain_torch.py"])
    _, probabilities = fashion_lightning.classify("cnn", shown["images"])
    torch.testing.assert_close(shown["probabilities"], probabilities)


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
@pytest.mark.usefixtures("recipe")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own packages
def test_every_cell_of_the_notebook_runs(
    command_on_generated_data: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(tmp_path: Path, data: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    away = tmp_path / "away"
    away.mkdir()

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=away, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("fashion_lightning-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    (packages,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    # torch and the others come from this environment. Python ignores the .pth files in a folder that a .pth file adds,
    # and so the one that an editable install of the checkout has left there.
    (packages / "those_of_the_tests.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    (packages / "configs").mkdir()  # another package's
    (packages / "configs/quick.yaml").write_text("somebody: else's", encoding="utf-8")

    where = run(python, "-c", "import fashion_lightning; print(fashion_lightning.__file__)")
    assert Path(where.strip()).is_relative_to(packages)
    assert (packages / "fashion_lightning/py.typed").is_file()
    program = tmp_path / "venv/bin/fashion-lightning"
    assert run(program, "--version") == f"fashion-lightning {fashion_lightning.__version__}\n"
    script = command_with_hashes(tmp_path / "program.py", source.SHA256)[1]
    on_generated_data: list[str | Path] = [python, script, "fit"]
    small: list[str | Path] = ["--data.root", data, "--data.val_size", "100", "--data.batch_size", "8"]
    fit = [*on_generated_data, "--config", "quick", "--config", "presets/debug", *small]
    assert "parameters: 355,056" in run(*fit)
    assert (packages / "fashion_lightning/report/templates/page.html").is_file()
    assert (packages / "fashion_lightning/export/templates/network.js").is_file()
    assert list(away.iterdir()) == []
