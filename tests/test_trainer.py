"""The Trainer of the command line: what it takes and refuses, and in which precision it computes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
import yaml
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
from fashion_lightning.networks.precision import bf16_is_native, default_precision
from tests.conftest import RUN, Run
from tests.test_tensorboard import curve


def test_lightnings_own_parts_are_refused_unless_they_are_known_to_go_on_exactly() -> None:
    Trainer(accelerator="cpu", logger=False, callbacks=[callbacks.LearningRateMonitor()])
    for part in (callbacks.StochasticWeightAveraging(0.1), callbacks.GradientAccumulationScheduler({0: 2})):
        with pytest.raises(UserError, match="a run that was killed would not continue exactly with it"):
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


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
def test_callbacks_stand_in_the_order_in_which_they_work(recipe: Path) -> None:
    given, settings = parse("fit", ["--config", str(recipe)])
    trainer = FashionMNISTCLI(given, *complete(given, settings), makes_run_folder=False).trainer
    kinds = [type(callback) for callback in trainer.callbacks]  # type: ignore[attr-defined]
    for first, second in (
        (run_files.RunFiles, LastCheckpoint),  # LastCheckpoint writes into the folder that all processes then know
        (stopping.StopWhenNotFinite, stopping.StopOnSignal),  # StopOnSignal saves
        (callbacks.Timer, stopping.ValidateLastEpoch),  # ValidateLastEpoch asks whether the run stops
        (stopping.ValidateLastEpoch, stopping.StopOnSignal),  # StopOnSignal asks whether a validation follows
        (BestCheckpoint, LastCheckpoint),  # LastCheckpoint saves the record of the best epoch
        (BestCheckpoint, EpochLines),  # EpochLines says whether an epoch was the best
    ):
        assert kinds.index(first) < kinds.index(second)


class MLFlowLogger(Logger):
    """Stands for MLflow: gives a run an id, which a continued run keeps; no parameter can change."""

    ids: ClassVar[list[str | None]] = []

    def __init__(self, run_id: str | None = None) -> None:
        self.ids.append(run_id)

    name, version = "runs", "its-id"

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep nothing."""

    def log_hyperparams(self, params: Any) -> None:
        assert (params["recipe"], self.ids[-1]) == ("tiny", None)


@pytest.mark.slow
def test_other_loggers_stand_beside_tensorboard_and_go_on_under_their_id(cli: Run, recipe: Path) -> None:
    csv = ["--trainer.logger+=CSVLogger", "--trainer.logger.init_args.save_dir=csv"]
    cli("fit", "--config", recipe, *csv, f"--trainer.logger+={__name__}.MLFlowLogger", "--epochs", "1")
    cli("fit", "--ckpt_path", "tiny", "--epochs", "2")
    assert [step for step, _ in curve(RUN, "val/loss")] == [9, 19]
    cli("fit", "--ckpt_path", RUN / "checkpoints/best.ckpt", "--epochs", "3")  # a branch is another run
    assert MLFlowLogger.ids == [None, "its-id", None]
    assert len(list(Path("csv").glob("*/version_*/metrics.csv"))) == 3
    assert "See its curves" not in cli("fit", "--config", recipe, "--trainer.logger=false", "--epochs", "1")


@pytest.mark.parametrize(
    ("patience", "every", "validates", "checks"),
    [(3, 6, True, "1"), (4, 1, True, ""), (5, 1, True, "6"), (1, 4, True, "2"), (0, 2, True, ""), (1, 1, False, "0")],
)
def test_patience_that_can_never_stop_a_run_is_said(
    capsys: pytest.CaptureFixture[str], patience: int, every: int, validates: bool, checks: str
) -> None:
    """Of a run of six epochs, each of ten batches."""
    trainer: Any = SimpleNamespace(
        estimated_stepping_batches=30,
        accumulate_grad_batches=2,
        val_check_batch=10,
        check_val_every_n_epoch=every,
        enable_validation=validates,
        should_stop=False,
    )
    stopping.EarlyStopping(patience).on_train_start(trainer, trainer)
    said = capsys.readouterr().out.partition(". Check")[0]
    assert said == (
        f"--patience {patience} cannot stop this run early (checks of val/loss: {checks})" if checks else ""
    )


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    bf16_is_native.cache_clear()
    yield
    bf16_is_native.cache_clear()


BF16, OLD = {"amx_bf16": True}, {"avx2": True}


@pytest.mark.parametrize(
    ("gpu", "cpu", "accelerator", "expected"),
    [
        (False, {"avx512_bf16": True}, "auto", "bf16-mixed"),
        (False, BF16, "auto", "bf16-mixed"),
        (False, OLD, "auto", "32-true"),
        (True, OLD, "auto", "bf16-mixed"),
        (True, OLD, "gpu", "bf16-mixed"),
        (True, OLD, "cpu", "32-true"),
    ],
)
def test_the_device_that_is_trained_on_decides_the_default(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, cpu: dict[str, bool], accelerator: str, expected: str
) -> None:
    with monkeypatch.context() as machine:
        machine.setattr(torch.cuda, "is_available", lambda: gpu)
        machine.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
        machine.setattr(torch.backends.mps, "is_available", lambda: False)
        machine.setattr(torch.cpu, "get_capabilities", lambda: cpu)
        assert default_precision(accelerator) == expected


@pytest.mark.parametrize(
    ("cpu", "precision"),
    [("avx2", "32-true"), ("avx512_bf16", "bf16-mixed")],
)
def test_the_default_precision_is_said_and_settled_in_the_config_of_the_run(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch, cpu: str, precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {cpu: True})
    assert f"precision: {precision}   seed" in cli("fit", "--config", recipe, "--trainer.max_epochs=1")
    settings = yaml.safe_load((RUN / "config.yaml").read_text())["trainer"]
    assert (settings["accelerator"], settings["precision"], settings["deterministic"]) == ("cpu", precision, True)


@pytest.mark.slow
def test_gradients_of_a_fused_optimizer_are_clipped_in_bf16(cli: Run, recipe: Path) -> None:
    fit = ["fit", "--config", recipe, "--optimizer=adam", "--model.optimizer.init_args.fused=true"]
    cli(*fit, "--precision=bf16-mixed", "--trainer.gradient_clip_val=0.1", "--trainer.max_epochs=1")
    assert (RUN / "fit.json").is_file()
