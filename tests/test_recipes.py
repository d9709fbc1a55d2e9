"""Every recipe and preset is valid and goes by its name; every command in the README and in docs can be typed."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fashion_lightning.cli import deploy, fit, many_fits
from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.parser import parse
from fashion_lightning.cli.recipes import DEFAULT_RECIPE, RECIPES, find_config
from tests.conftest import ROOT, RUN, Run, write_pictures

CONFIGS = sorted(RECIPES.rglob("*.yaml"))
README = (ROOT / "README.md").read_text()
PAGES = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))]
SHELL_BLOCKS = re.findall(r"^```(?:bash|sh)\n(.*?)^```", "\n".join(PAGES), flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    command.split("#")[0].strip().replace("$seed", "0")
    for block in [
        *SHELL_BLOCKS,
        *re.findall(r"^- .*`(fashion-lightning .*)`$", README.partition("## More")[2], re.MULTILINE),
    ]
    for line in block.replace("\\\n", " ").splitlines()
    for command in line.split("&&")
    if command.split("#")[0].strip()
]


@pytest.mark.parametrize(
    "path",
    [
        # The network of record.yaml is for a GPU.
        pytest.param(path, marks=pytest.mark.slow if path.stem == "record" else (), id=str(path.relative_to(RECIPES)))
        for path in CONFIGS
    ],
)
def test_every_yaml_trains_a_few_batches(cli: Run, path: Path, data: Path) -> None:
    small = ["--data.root", data, "--data.val_size", "20", "--data.batch_size", "8", "--data.train_size", "null"]
    short = ["--trainer.accelerator", "cpu", "--trainer.fast_dev_run", "2", "--trainer.profiler", "null"]
    cli("fit", "--config", path, *small, *short)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_yaml_begins_with_its_command_and_defines_a_model_unless_it_is_a_preset(path: Path) -> None:
    assert ("model" in yaml.safe_load(path.read_text(encoding="utf-8"))) == (path.parent.name != "presets")
    first = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# fashion-lightning fit").split()
    if path == find_config(DEFAULT_RECIPE):
        assert first == []
    else:
        option, name = first
        assert (option, find_config(name)) == ("--config", path)


@pytest.mark.parametrize("block", re.findall(r"^```yaml\n(.*?)^```", "\n".join(PAGES), flags=re.MULTILINE | re.DOTALL))
def test_every_yaml_example_of_the_docs_is_valid(block: str) -> None:
    assert all(re.fullmatch(r"[\w.]+", setting) for setting in yaml.safe_load(block))


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("fashion-lightning")])
def test_every_fashion_lightning_command_of_the_readme_is_understood(
    command: str, cli: Run, data: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each is parsed in full and its classes are built; only the Trainer does not run."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "configs").symlink_to(RECIPES)
    trained.parent.rename("tensorboard_logs/cnn")
    for recipe in {path.stem for path in CONFIGS} - {"cnn"} | {"my_pictures"}:
        shutil.copytree("tensorboard_logs/cnn", f"tensorboard_logs/{recipe}")
    started = []
    for name in fit.RUNS:
        monkeypatch.setitem(fit.RUNS, name, lambda cli: started.append(cli.command))
    for module, name in ((many_fits, "repeat"), (many_fits, "sweep"), (deploy, "export"), (deploy, "serve")):
        monkeypatch.setattr(module, name, lambda *_: None)
    arguments = shlex.split(command)[1:]
    if arguments[0].startswith("-") or "--help" in arguments:
        cli(*arguments, exits=0)
    elif arguments[0] not in fit.RUNS:
        cli(*arguments)
    else:
        complete(*parse(arguments[0], arguments[1:]))  # word for word: `fit` without options once failed unnoticed
        where, val_size = ["--data.root", data], "100"
        if "--data.folder" in arguments:
            write_pictures(tmp_path / "my_pictures", {"cat": 20, "dog": 20})
            where, val_size = [], "0.2"
        small = ["--data.val_size", val_size, "--data.batch_size", "10"] if arguments[0] == "fit" else []
        cli(*arguments, *where, *small)
        assert started == [arguments[0]]


@pytest.mark.slow
def test_the_preset_keeps_a_checkpoint_of_every_epoch_also_where_not_every_one_is_validated(
    cli: Run, recipe: Path
) -> None:
    rarely = ["--trainer.check_val_every_n_epoch", "3", "--trainer.max_epochs", "3"]
    cli("fit", "--config", recipe, "--config", "presets/every_epoch", *rarely)
    kept = Path("tensorboard_logs/tiny/version_0/checkpoints").glob("epoch_*.ckpt")
    assert sorted(path.name for path in kept) == [f"epoch_{epoch:02d}.ckpt" for epoch in range(3)]


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


def test_only_what_follows_config_is_a_recipe() -> None:
    arguments, name, *_ = complete(
        *parse("fit", ["--config", "quick", "--data.root", "quick", "--config=presets/debug"])
    )
    assert name == "quick"
    *configs, root = arguments
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
    run("compare", str(RUN), "--output", "report")
    assert "netz.Größe" in (RUN / "config.yaml").read_text(encoding="utf-8")
    assert "tiny" in Path("report/comparison.md").read_text(encoding="utf-8")
