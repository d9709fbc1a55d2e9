"""Every recipe and preset is valid, and every command in the README and in docs can be typed."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from fashion_lightning.cli import deploy, fit, many_fits
from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.parser import parse
from fashion_lightning.cli.recipes import DEFAULT_RECIPE, RECIPES, find_config
from tests.conftest import Run, write_pictures

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(RECIPES.rglob("*.yaml"))
README = (ROOT / "README.md").read_text()
PAGES = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))]
SHELL_BLOCKS = re.findall(r"^```(?:bash|sh)\n(.*?)^```", "\n".join(PAGES), flags=re.MULTILINE | re.DOTALL)
IN_TABLES = re.findall(r"^\|[^|]*\| `(fashion-lightning [^`]*)` \|$", README, flags=re.MULTILINE)
COMMANDS = [
    command.split("#")[0].strip().replace("$seed", "0")
    for block in [*SHELL_BLOCKS, *IN_TABLES]
    for line in block.replace("\\\n", " ").splitlines()
    for command in line.split("&&")
    if command.split("#")[0].strip()
]


SLOW = {"record.yaml": pytest.mark.slow}
"""Its network is for a GPU."""


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=SLOW.get(path.name, ()), id=str(path.relative_to(RECIPES))) for path in CONFIGS]
)
def test_every_yaml_trains_a_few_batches(cli: Run, path: Path, data: Path) -> None:
    small = ["--data.root", data, "--data.val_size", "100", "--data.batch_size", "8", "--data.train_size", "null"]
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
        complete(*parse(arguments[0], arguments[1:]))  # word for word: `fit` without any option has failed unseen
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
