"""A network of one's own in the working folder: it simply works, and only where the user has named it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fashion_lightning.runs.own_modules import look_in_working_folder
from tests.conftest import Run
from tests.test_strangers_checkpoint import checkpoint, network

ROOT = Path(__file__).parents[1]

NETWORK = """
from torch import Tensor, nn

from own_layers import flat


class MyNetwork(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))

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


def test_it_is_trained_tested_and_continued(cli: Run, recipe: Path, own_package: str) -> None:
    cli("fit", "--config", recipe, "--network", f"{own_package}.MyNetwork", "--epochs", "1")
    sys.path.remove(str(Path.cwd()))  # as another process begins
    cli("test", "--ckpt_path", "tiny")  # the run's config.yaml is the user's own
    cli("fit", "--ckpt_path", "tiny", "--epochs", "2")


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
        ["fit", "--config", "cnn", "--network", "my_package.MyNetwork", *small],
        ["test", "--ckpt_path", "my_recipe", "--data.root", str(data)],
    ):
        # -P: as the installed command, which does not look into the working folder by itself
        command = [sys.executable, "-P", command_on_generated_data[1], *arguments]
        done = subprocess.run(command, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
