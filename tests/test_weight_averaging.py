"""The average of the weights: what is validated, saved and tested."""

import json
from pathlib import Path

import pytest
import torch

from tests.conftest import Run

EMA = "fashion_lightning.callbacks.weight_averaging.WeightEMA"


def fit_with_average(cli: Run, recipe: Path, start: int) -> Path:
    settings = {"decay": 0.5, "update_starting_at_step": start}
    flags = [f"--trainer.callbacks.init_args.{name}={value}" for name, value in settings.items()]
    cli("fit", "--config", recipe, f"--trainer.callbacks+={EMA}", *flags)
    return Path("tensorboard_logs/tiny/version_0")


def test_the_average_is_what_is_saved_tested_and_used(cli: Run, recipe: Path) -> None:
    run = fit_with_average(cli, recipe, start=0)
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    pairs = [(content["state_dict"][name], content["current_model_state"][name]) for name in content["state_dict"]]
    assert any(not torch.equal(average, current) for average, current in pairs)
    cli("validate", "--ckpt_path", run)
    measured = json.loads((run / "validate_best.json").read_text())
    best = json.loads((run / "fit.json").read_text())["best"]
    assert measured["accuracy"] == best["val/accuracy"]
    assert measured["loss"] == pytest.approx(best["val/loss"])


@pytest.mark.slow
def test_until_the_average_begins_the_weights_themselves_are_validated_and_saved(cli: Run, recipe: Path) -> None:
    """Stock Lightning would validate and save the initial weights (issue 21724)."""
    cli("fit", "--config", recipe)
    plain = Path("tensorboard_logs/tiny/version_0")
    plain.rename("plain")
    late = fit_with_average(cli, recipe, start=10_000)
    figures = [json.loads((run / "fit.json").read_text())["best"] for run in (Path("plain"), late)]
    assert figures[0] == figures[1]
    weights = [torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (Path("plain"), late)]
    assert "current_model_state" not in weights[1]
    for name, value in weights[0]["state_dict"].items():
        assert torch.equal(value, weights[1]["state_dict"][name])
