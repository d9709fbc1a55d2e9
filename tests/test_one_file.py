"""The recipe in one file of plain torch trains what the package trains, to the bit."""

import runpy
from pathlib import Path

import pytest
import torch

from fashion_lightning import optimizers
from fashion_lightning.networks.precision import bf16_is_native
from tests.conftest import Run

ROOT = Path(__file__).parents[1]
SMALL = {"pictures": "false", "data.val_size": 100, "data.batch_size": 15, "trainer.max_steps": 60}


@pytest.mark.parametrize("bf16", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_first_60_steps_give_the_weights_of_fit(
    cli: Run, data: Path, monkeypatch: pytest.MonkeyPatch, bf16: bool
) -> None:
    if bf16 and not bf16_is_native("cpu"):
        pytest.skip("no bf16 arithmetic on this CPU")
    monkeypatch.setattr(optimizers, "bf16_is_native", lambda _: bf16)
    trainer = {"trainer.accelerator": "cpu", "trainer.precision": "bf16-mixed" if bf16 else "32-true"}
    flags = [f"--{name}={value}" for name, value in {**SMALL, **trainer, "data.root": data}.items()]
    cli("fit", "--config", ROOT / "configs" / "cnn.yaml", *flags)
    last = torch.load("tensorboard_logs/cnn/version_0/checkpoints/last.ckpt", weights_only=True)

    one_file = runpy.run_path(str(ROOT / "examples" / "one_file.py"))
    one_file["read"].__globals__.update(BF16=bf16)
    images, labels = one_file["read"](data, "train")
    training, _ = one_file["train_and_val"](labels, val_size=100)
    network = one_file["train"](images, labels, training, batch_size=15, epochs=3)
    pairs = list(zip(last["state_dict"].items(), network.state_dict().values(), strict=True))
    assert last["global_step"] == 60
    assert [name for (name, theirs), ours in pairs if not torch.equal(theirs, ours)] == []
