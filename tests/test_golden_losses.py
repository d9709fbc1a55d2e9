"""The losses of the first steps, as numbers: what changes the arithmetic of training cannot slip in unseen.

Whoever changes it on purpose (another initialization, augmentation or order of images, say) writes down the new
numbers: pytest tests/test_golden_losses.py -vv shows them.
"""

from pathlib import Path

import pytest

from fashion_lightning import optimizers
from tests.conftest import Run
from tests.test_tensorboard import curve

ROOT = Path(__file__).parents[1]

GOLDEN = {
    "cnn": [7.032041, 2.430709, 1.342619, 1.079906],
    "seeds/three_dense": [2.287087, 2.141765, 1.944903, 1.838255],
}


@pytest.mark.parametrize("recipe", GOLDEN)
def test_the_losses_of_the_first_steps_are_those_written_here(
    cli: Run, data: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    """In float32 on one thread of the CPU. Another CPU adds in another order: 1e-4 leaves room for that alone."""
    monkeypatch.setattr(optimizers, "bf16_is_native", lambda _: False)  # Muon would use it, where there is any
    small = ["--data.root", data, "--data.val_size", "100", "--data.batch_size", "50"]
    trainer = {"accelerator": "cpu", "precision": "32-true", "max_epochs": 1, "max_steps": 4, "log_every_n_steps": 1}
    flags = [f"--trainer.{name}={value}" for name, value in trainer.items()]
    cli("fit", "--config", ROOT / "configs" / f"{recipe}.yaml", *small, *flags)
    (run,) = Path("tensorboard_logs").glob("*/version_0")
    assert [loss for _, loss in curve(run, "train/loss_step")] == pytest.approx(GOLDEN[recipe], rel=1e-4)
