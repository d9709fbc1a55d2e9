"""The average of the weights: what is validated, saved and tested."""

import json
from pathlib import Path

import pytest
import torch

from tests.conftest import Run

EMA = "fashion_lightning.callbacks.weight_averaging.WeightEMA"


def test_the_average_is_what_is_saved_tested_and_used(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, f"--trainer.callbacks+={EMA}", "--trainer.callbacks.init_args.decay=0.5")
    run = Path("tensorboard_logs/tiny/version_0")
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    pairs = [(content["state_dict"][name], content["current_model_state"][name]) for name in content["state_dict"]]
    assert any(not torch.equal(average, current) for average, current in pairs)
    cli("validate", "--ckpt_path", run)
    measured = json.loads((run / "validate_best.json").read_text())
    best = json.loads((run / "fit.json").read_text())["best"]
    assert measured["accuracy"] == best["val/accuracy"]
    assert measured["loss"] == pytest.approx(best["val/loss"])
