"""What a newcomer types first: short help, short names, the list of recipes and runs, and Tab; all without torch."""

import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fashion_lightning.cli import main
from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.commands import COMMANDS, SHORT_NAMES, SWITCHES, Command
from fashion_lightning.cli.parser import CLASSES, expand, nearest, parse
from fashion_lightning.cli.recipes import head, names
from tests.conftest import ROOT, Run
from tests.test_durable import other_process

KNOWN = {*SHORT_NAMES, *SHORT_NAMES.values(), "--ckpt_path", "--config"}
HEAVY = ("torch", "lightning", "torchvision", "jsonargparse", "matplotlib", "numpy")


def test_help_list_and_completion_import_no_torch() -> None:
    helps = [[command, "--help"] for command in COMMANDS]
    lines = [["--version"], *helps, ["list"], ["completion", "bash"]]
    code = (
        f"import sys; from fashion_lightning.cli import main\nfor line in {lines!r}:\n"
        "    try: main(line)\n    except SystemExit as stop: assert not stop.code\n"
        f"assert not set({HEAVY!r}) & set(sys.modules), set({HEAVY!r}) & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: fashion-lightning") == len(COMMANDS)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_one_screen(cli: Run, command: str) -> None:
    lines = cli(*filter(None, [command, "--help"]), exits=0).splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 80
    assert "examples:" in lines


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_the_examples_of_the_help_can_be_parsed(command: Command) -> None:
    for line, _ in command.examples:
        if "fashion-lightning" not in line:
            name, *arguments = shlex.split(line)
            parse(name, arguments)
            recipes = [value for option, value in itertools.pairwise(arguments) if option == "--config"]
            assert {*recipes} <= {*names(), "my_recipe.yaml"}


def test_all_of_the_help_lists_what_is_meant_first(cli: Run) -> None:
    printed = " ".join(cli("fit", "--help_all", exits=0).split())
    for short, setting in SHORT_NAMES.items():
        assert f"{short} {setting}" in printed
    assert "quantized" not in printed
    for listed in ("fashion_lightning.networks.CNN", "fashion_lightning.optimizers.Muon", "torch.optim.Adadelta"):
        assert listed in printed


# --- short names


@pytest.mark.usefixtures("recipe")
def test_a_printed_config_is_a_config(cli: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever else is said goes to standard error: a run's name, and what becomes of the learning rate."""
    with pytest.raises(SystemExit):
        main(["fit", "--config", "tiny.yaml", "--optimizer", "adamw", "--print_config"])
    Path("mine.yaml").write_text(capfd.readouterr().out)
    cli("fit", "--config", "mine.yaml", "--trainer.max_epochs=1")
    assert Path("tensorboard_logs/mine/version_0/fit.json").is_file()


def test_a_short_name_is_exactly_what_it_stands_for() -> None:
    for short, setting in SHORT_NAMES.items():
        value = "x.Y" if setting in CLASSES else "true" if short in SWITCHES else "3"
        assert (
            expand([short, *([] if short in SWITCHES else [value])])
            == expand([f"{short}={value}"])
            == [f"{setting}={value}"]
        )


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        (["--optimizer", "adam"], "torch.optim.Adam"),
        (["--optimizer=AdamW"], "torch.optim.AdamW"),
        (["--model.optimizer", "muon"], "fashion_lightning.optimizers.Muon"),
        (["--network", "wide_resnet"], "fashion_lightning.networks.WideResNet"),
        (["--model.scheduler", "cosine_decay"], "fashion_lightning.schedules.CosineDecay"),
        (["--network", "my_package.MyNetwork"], "my_package.MyNetwork"),
        (["--model.scheduler", "null"], "null"),
    ],
)
def test_a_class_goes_by_its_name(typed: list[str], path: str) -> None:
    assert expand(typed)[-1].partition("=")[2] == path


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (["--network", "my_package.MyNetwork"], "MyNetwork"),
        (["--config", "quick", "--network=mlp"], "MLP"),
        (["--config", "quick", "--network=cnn"], "quick"),
        (["--config", "mine.yaml", "--network", "my_package.MyNetwork"], "mine"),
        (["--config", "mine.yaml", "--network", "my_package.Another"], "Another"),
        (["--config", "quick", "--config", "mine.yaml"], "MyNetwork"),
        (["--config", "mine.yaml", "--model.network.class_path=my_package.Another"], "Another"),
        (["--config", "quick", "--config", "presets/find_lr"], "quick_find_lr"),
        (["--config", "presets/profile"], "cnn_profile"),
        (["--config", "presets/every_epoch"], "cnn"),
        (["--data.folder", "null"], "cnn"),
        (["--network", '{"class_path": "my_package.MyNetwork"}'], "MyNetwork"),
    ],
)
def test_experiments_and_other_networks_do_not_lie_among_the_runs_of_a_recipe(typed: list[str], name: str) -> None:
    Path("mine.yaml").write_text("model: {network: {class_path: my_package.MyNetwork}}")
    assert complete(*parse("fit", typed))[1] == name


def test_another_optimizer_keeps_the_learning_rate_which_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A rate of 0.06 suits Muon, not Adam; jsonargparse keeps it all the same."""
    complete(*parse("fit", ["--config", "quick", "--optimizer", "adam"]))
    assert capsys.readouterr().out.startswith("The learning rate stays as it was set for the previous optimizer")
    for fine in (["--optimizer=adam", "--lr=0.001"], ["--lr", "0.04"]):
        complete(*parse("fit", ["--config", "quick", *fine]))
        assert capsys.readouterr().out == ""


def test_callbacks_of_presets_add_up_and_those_that_a_flag_drops_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    stacked = ["--config=quick", "--config=presets/weight_averaging", "--config=presets/every_epoch"]
    arguments, *_ = complete(*parse("fit", stacked))
    last = yaml.safe_load(arguments[-1].removeprefix("--config="))
    callbacks = [callback["class_path"].rpartition(".")[2] for callback in last["trainer"]["callbacks"]]
    assert callbacks == ["WeightEMA", "ModelCheckpoint"]
    complete(*parse("fit", [*stacked, "--trainer.callbacks=null"]))
    assert "--trainer.callbacks replaces fashion_lightning.callbacks." in capsys.readouterr().out


def test_a_learning_rate_works_for_a_recipe_that_names_no_optimizer(cli: Run, recipe: Path) -> None:
    recipe.write_text(re.sub(r"  optimizer:\n    class_path: .*\n", "", recipe.read_text(encoding="utf-8")))
    cli("fit", "--config", recipe, "--lr", "0.5", "--epochs", "1")
    config = yaml.safe_load(Path("tensorboard_logs/tiny/version_0/config.yaml").read_text(encoding="utf-8"))
    assert config["model"]["optimizer"]["class_path"] == "torch.optim.AdamW"
    assert config["model"]["optimizer"]["init_args"]["lr"] == 0.5


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--ckpt", "--ckpt_path"),
        ("--checkpoint", "--ckpt_path"),
        ("--ckpt-path", "--ckpt_path"),
        ("--batch-size", "--batch_size"),
        ("--learning-rate", "--lr"),
        ("--num_epochs", "--epochs"),
        ("--max_epochs", "--trainer.max_epochs"),
        ("--epoch", "--epochs"),
        ("-epochs", "--epochs"),
        ("--gpus", "--devices"),
        ("--val_size", "--data.val_size"),
        ("--trainer.max_epoch", "--trainer.max_epochs"),
        ("--zebra", None),
    ],
)
def test_an_unknown_flag_is_met_with_the_one_that_is_meant(typed: str, meant: str | None) -> None:
    assert nearest(typed, {*KNOWN, "--data.val_size", "--trainer.max_steps"}) == meant


# --- list


def test_list_shows_the_figures_that_each_recipe_states(cli: Run) -> None:
    lines = [line.strip() for line in cli("list").splitlines()]
    quick = next(line for line in lines if line.startswith("quick "))
    assert re.split(r"  +", quick)[1:3] == list(head("quick")[:2])
    assert "%" not in next(line for line in lines if line.startswith("record"))
    assert {line.split()[0] for line in lines if line} >= set(names())


@pytest.mark.parametrize(
    "name", [name for name in names() if not name.startswith("presets/") and name not in ("record", "own_pictures")]
)
def test_the_documents_state_the_figures_of_a_recipe_too(name: str) -> None:
    documents = " ".join(path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    cost, accuracy, _ = head(name)
    assert cost
    assert accuracy.removesuffix(" %") in documents


def test_list_shows_how_far_each_run_is(cli: Run, trained: Path) -> None:
    cli("test", "--ckpt_path", trained)
    stopped, killed, trains, empty = (trained.with_name(f"version_{number}") for number in (1, 2, 10, 11))
    for folder in (stopped, killed, trains):
        shutil.copytree(trained, folder)
        (folder / "fit.json").unlink()
        progress = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        text = json.dumps({**progress, "epoch": 1, "state": "interrupted" if folder == stopped else "training"})
        (folder / "progress.json").write_text(text, encoding="utf-8")
    empty.mkdir()
    training = other_process("lock_run(path)", trains)
    printed = cli("list")
    training.communicate()
    lines = [line.strip() for line in printed.partition("run in tensorboard_logs")[2].splitlines() if "tiny" in line]
    fit, test = (json.loads((trained / name).read_text(encoding="utf-8")) for name in ("fit.json", "test_best.json"))
    accuracies = [f"{100 * value:.2f} %" for value in (fit["best"]["val/accuracy"], test["accuracy"])]
    assert lines[0].split() == ["tiny/version_0", "2", "of", "2", "finished", *" ".join(accuracies).split()]
    assert lines[1].split()[:5] == ["tiny/version_1", "1", "of", "2", "interrupted"]
    assert [line.split()[-1] for line in lines[2:]] == ["interrupted", "training", "empty"]


CASES = [
    (["va"], ["validate"]),
    (["fit", "--config", "qu"], ["quick"]),
    (["fit", "--config", "seeds/two"], ["seeds/two_conv_cnn", "seeds/two_conv_cnn_batch_norm"]),
    (["fit", "--ep"], ["--epochs"]),
    (["test", "--ep"], []),
    (["fit", "--optimizer", "adamw"], ["adamw"]),
    (["fit", "--flip", ""], ["alternating", "none", "random"]),
    (["completion", "z"], ["zsh"]),
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_recipes_classes_and_settings(cli: Run) -> None:
    lines = [cli("completion", "bash")]
    for words, _ in CASES:
        typed = " ".join(f'"{word}"' for word in ["fashion-lightning", *words])
        lines.append(f"COMP_WORDS=({typed}) COMP_CWORD={len(words)}; COMPREPLY=(); _shtab_fashion_lightning")
        lines.append('echo "${COMPREPLY[*]}"')
    done = subprocess.run(["bash", "--norc"], input="\n".join(lines), capture_output=True, encoding="utf-8")
    assert done.stderr == ""
    assert [sorted(line.split()) for line in done.stdout.splitlines()] == [found for _, found in CASES]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_of_every_command(cli: Run, shell: str) -> None:
    script = cli("completion", shell)
    assert "predict" in script
    assert "seeds/three_dense" in script
