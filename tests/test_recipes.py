"""Recipes by name, config files by path, whatever the working folder and the locale."""

import os
import subprocess
from pathlib import Path

import pytest

from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.parser import parse
from fashion_lightning.cli.recipes import RECIPES, find_config
from fashion_lightning.errors import UserError
from tests.conftest import RUN


@pytest.mark.parametrize("name", ["quick", "seeds/two_conv_cnn", "presets/debug"])
def test_a_recipe_of_this_package_goes_by_its_name_in_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "quick").mkdir()  # a folder of that name is not meant
    for folder in (tmp_path, RECIPES.parent):
        monkeypatch.chdir(folder)
        assert find_config(name) == RECIPES / f"{name}.yaml"


def test_a_file_of_that_name_in_the_working_folder_wins(tmp_path: Path) -> None:
    (tmp_path / "quick").write_text("trainer: {max_epochs: 1}", encoding="utf-8")
    assert find_config("quick").resolve() == tmp_path / "quick"


def test_a_name_that_is_none_is_met_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"There is no config file quik; the recipes and presets are: .*, quick, "):
        find_config("quik")


def test_only_what_follows_config_is_a_recipe() -> None:
    completed = complete(*parse("fit", ["--config", "quick", "--data.root", "quick", "--config=presets/debug"]))
    assert completed.name == "quick"
    *configs, root = completed.arguments
    assert root == "--data.root=quick"
    assert ["fast_dev_run" in config for config in configs] == [False, False, True]


NETWORK = """
from fashion_lightning.networks import MLP

class Größe(MLP):
    pass
"""


@pytest.mark.slow
def test_files_are_utf_8_whatever_the_locale(recipe: Path, command_on_generated_data: list[str]) -> None:
    Path("netz.py").write_text(NETWORK, encoding="utf-8")
    text = recipe.read_text(encoding="utf-8").replace("fashion_lightning.networks.CNN", "netz.Größe")
    text = text.replace("init_args: {stem: 4, widths: [4, 4, 8]}", "init_args: {hidden: [8]}  # größer, ± 2 – später")
    recipe.write_text(text, encoding="utf-8")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    # What is printed is another matter.
    environment = {**os.environ, **ascii_only, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": f".:{RECIPES.parent}"}

    def run(*arguments: str) -> None:
        command = [*command_on_generated_data, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr

    run("fit", "--config", str(recipe))
    run("fit", "--ckpt_path", str(RUN), "--trainer.max_epochs", "3")
    run("compare", str(RUN), "--output", "report")
    assert "netz.Größe" in (RUN / "config.yaml").read_text(encoding="utf-8")
    assert "tiny" in Path("report/comparison.md").read_text(encoding="utf-8")
