"""The Trainer of the command line: what it takes is exact after a kill, what it does not know is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from jsonargparse.typing import PositiveInt
from lightning.pytorch import callbacks
from lightning.pytorch.loggers import Logger

from fashion_lightning.callbacks import run_files, stopping
from fashion_lightning.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from fashion_lightning.callbacks.terminal import EpochLines
from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.parser import parse
from fashion_lightning.cli.trainer import Trainer
from fashion_lightning.errors import UserError
from tests.conftest import RUN, Run
from tests.test_tensorboard import curve


def test_lightnings_own_parts_are_refused_unless_they_are_known_to_go_on_exactly() -> None:
    Trainer(accelerator="cpu", logger=False, callbacks=[callbacks.LearningRateMonitor()])
    for part in (callbacks.StochasticWeightAveraging(0.1), callbacks.GradientAccumulationScheduler({0: 2})):
        with pytest.raises(UserError, match="a run that was killed would not go on with it"):
            Trainer(accelerator="cpu", logger=False, callbacks=[part])


@pytest.mark.parametrize(
    "launcher",
    [
        {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"},
        {"SLURM_JOB_NAME": "job", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
    ],
    ids=["torchrun", "srun"],
)
def test_a_launcher_of_more_processes_than_the_trainer_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, launcher: dict[str, str]
) -> None:
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="A launcher has started 2 processes"):
        Trainer(accelerator="cpu")


def test_numbers_of_jsonargparses_types_become_plain_ones_which_checkpoints_may_hold() -> None:
    trainer = Trainer(
        accelerator="cpu", logger=False, max_epochs=PositiveInt(3), accumulate_grad_batches=PositiveInt(2)
    )
    assert (type(trainer.max_epochs), type(trainer.accumulate_grad_batches)) == (int, int)


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
def test_callbacks_stand_in_the_order_in_which_they_work(recipe: Path) -> None:
    trainer = FashionMNISTCLI(complete(*parse("fit", ["--config", str(recipe)])), makes_run_folder=False).trainer
    kinds = [type(callback) for callback in trainer.callbacks]  # type: ignore[attr-defined]
    for first, second in (
        (run_files.RunFiles, LastCheckpoint),  # which writes into the folder that all processes then know
        (stopping.StopWhenNotFinite, stopping.StopOnSignal),  # which saves
        (callbacks.Timer, stopping.ValidateLastEpoch),  # which asks whether the run stops
        (stopping.ValidateLastEpoch, stopping.StopOnSignal),  # which asks whether a validation follows
        (BestCheckpoint, LastCheckpoint),  # which holds the record of the best epoch
        (BestCheckpoint, EpochLines),  # which says whether an epoch was the best
    ):
        assert kinds.index(first) < kinds.index(second)


class WandbLogger(Logger):
    """Stands for Weights & Biases: gives a run an id, under which a continued one goes on."""

    ids: ClassVar[list[str | None]] = []

    def __init__(self, id: str | None = None) -> None:
        self.ids.append(id)
        self.points: list[int | None] = []

    name, version = "runs", "its-id"

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.points.append(step)

    def log_hyperparams(self, params: Any) -> None:
        assert params["recipe"] == "tiny"


def test_other_loggers_stand_beside_tensorboard_and_go_on_under_their_id(cli: Run, recipe: Path) -> None:
    csv = "--trainer.logger+=lightning.pytorch.loggers.CSVLogger"
    own = f"--trainer.logger+={__name__}.WandbLogger"
    cli("fit", "--config", recipe, csv, "--trainer.logger.init_args.save_dir=csv", own, "--epochs", "1")
    cli("fit", "--ckpt_path", "tiny", "--epochs", "2")
    assert WandbLogger.ids == [None, "its-id"]
    assert [step for step, _ in curve(RUN, "val/loss")] == [9, 19]
    rows = [path.read_text().count("\n") for path in sorted(Path("csv").glob("*/version_*/metrics.csv"))]
    assert len(rows) == 2
    assert "See its curves" not in cli("fit", "--config", recipe, "--trainer.logger=false", "--epochs", "1")
