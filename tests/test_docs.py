"""What the documentation shows works as pasted, on generated data."""

import json
import sys
from pathlib import Path

import pytest
import torch

import fashion_lightning
from tests.conftest import Run
from tests.test_own_network import blocks_of
from tests.test_tensorboard import curve

SMALL = ("--data.val_size=100", "--batch_size=50", "--epochs=1", "--trainer.accelerator=cpu")


def run(name: str, text: str) -> dict[str, object]:
    """Execute a block with settings for few images, and return its variables."""
    variables: dict[str, object] = {"__name__": name}
    exec(text.replace("batch_size=128", "batch_size=50, val_size=100"), variables)
    return variables


def test_a_loss_a_metric_and_a_schedule_of_ones_own_train_and_decide(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(recipe.parent)])
    files = blocks_of("docs/recipes.md", "Your loss")
    assert files.keys() == {"my_parts.py", "my_parts.yaml"}
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")
    cli("fit", "--config", recipe, "--config", "my_parts.yaml", "--epochs", "3", *SMALL[:2], "--model.optimizer", "sgd")
    fitted = Path("tensorboard_logs/tiny/version_0")
    best, own = json.loads((fitted / "fit.json").read_text())["best"], curve(fitted, "val/macro_f1")
    assert best["val/macro_f1"] == max(value for _, value in own)
    assert len(own) == 3
    cli("test", "--ckpt_path", fitted)


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
