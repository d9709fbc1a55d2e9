"""The numbers of training: one file of plain torch gives the package's weights, and the first losses are known.

If you change the losses on purpose (by another initialization, augmentation or order of images, say), write down the
new ones: pytest tests/test_exact_numbers.py -vv shows them.
"""

import runpy
from pathlib import Path

import pytest
import torch

from fashion_lightning import optimizers
from fashion_lightning.networks.precision import bf16_is_native
from tests.conftest import ROOT, Run
from tests.test_tensorboard import curve

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


GOLDEN = {
    "cnn": [7.032041, 2.430709, 1.342619, 1.079906],
    "seeds/three_dense": [2.287087, 2.141765, 1.944903, 1.838255],
}


@pytest.mark.parametrize("recipe", GOLDEN)
def test_the_losses_of_the_first_steps_are_those_written_here(
    cli: Run, data: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    """In float32 on one thread of the CPU. Another CPU adds in another order: 1e-4 leaves room for that alone."""
    monkeypatch.setattr(optimizers, "bf16_is_native", lambda _: False)  # Muon would use bf16 where it is native
    small = ["--data.root", data, "--data.val_size", "100", "--data.batch_size", "50"]
    trainer = {"accelerator": "cpu", "precision": "32-true", "max_epochs": 1, "max_steps": 4, "log_every_n_steps": 1}
    flags = [f"--trainer.{name}={value}" for name, value in trainer.items()]
    cli("fit", "--config", ROOT / "configs" / f"{recipe}.yaml", *small, *flags)
    (run,) = Path("tensorboard_logs").glob("*/version_0")
    assert [loss for _, loss in curve(run, "train/loss_step")] == pytest.approx(GOLDEN[recipe], rel=1e-4)
