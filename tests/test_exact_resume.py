"""A run that was ended at any moment and continued is, to the bit, the run that was not."""

import json
from pathlib import Path

import pytest
import torch

from fashion_lightning.classifier import FashionMNISTClassifier
from tests.conftest import Run
from tests.interruption import assert_same_state, interrupt
from tests.test_tensorboard import curve, raw_points

DROPOUT_RECIPE = """
model:
  network:
    class_path: tests.networks.WithDropout
"""


@pytest.mark.parametrize("precision", ["32-true", pytest.param("bf16-mixed", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(("epoch start", 0, 0), marks=pytest.mark.slow),
        pytest.param(("train", 0, 0), marks=pytest.mark.slow),
        pytest.param(("train", 0, 4), marks=pytest.mark.slow),
        pytest.param(("validation", 0, 0), marks=pytest.mark.slow),
        pytest.param(("epoch end", 0, 0), marks=pytest.mark.slow),
        ("train", 1, 9),
        pytest.param(("epoch start", 2, 0), marks=pytest.mark.slow),
        pytest.param(("train", 2, 3), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_an_interrupted_run_ends_with_the_same_bits_as_an_undisturbed_one(
    cli: Run, recipe: Path, moment: tuple[str, int, int], precision: str
) -> None:
    fit = ["fit", "--config", recipe, "--config", "dropout.yaml", "--trainer.max_epochs", "3"]
    Path("dropout.yaml").write_text(DROPOUT_RECIPE)
    cli(*fit, "--trainer.precision", precision)
    undisturbed, disturbed = (Path(f"tensorboard_logs/tiny/version_{n}") for n in (0, 1))
    printed = cli(*fit, "--trainer.precision", precision, *interrupt(*moment), exits=130)
    assert f"Continue with: fashion-lightning fit --ckpt_path {disturbed}" in printed
    cli("fit", "--ckpt_path", disturbed, "--trainer.callbacks", "null")
    assert_same_state(undisturbed, disturbed)
    for tag in ("val/loss", "val/accuracy", "lr", "train/loss_step", "train/loss", "train/accuracy", "epoch"):
        assert curve(undisturbed, tag) == curve(disturbed, tag)


SETTINGS = [
    ["--trainer.accumulate_grad_batches=3"],
    ["--trainer.val_check_interval=0.5"],
    ["--trainer.check_val_every_n_epoch=2"],
    ["--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=7"],
    ["--trainer.limit_train_batches=6"],
    ["--trainer.max_steps=35"],
    ["--model.scheduler=torch.optim.lr_scheduler.StepLR", "--model.scheduler.init_args.step_size=1"],
    [
        "--trainer.callbacks+=fashion_lightning.callbacks.weight_averaging.WeightEMA",
        "--trainer.callbacks.init_args.decay=0.9",
    ],
]


@pytest.mark.slow
@pytest.mark.parametrize("moment", [("train", 1, 3), ("validation", 1, 0)], ids=str)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings[0].rpartition(".")[2])
def test_an_interrupted_run_is_exact_under_other_settings_of_the_trainer(
    cli: Run, recipe: Path, settings: list[str], moment: tuple[str, int, int]
) -> None:
    Path("dropout.yaml").write_text(DROPOUT_RECIPE)
    fit = ["fit", "--config", recipe, "--config", "dropout.yaml", "--trainer.max_epochs", "4", *settings]
    cli(*fit)
    undisturbed, disturbed = (Path(f"tensorboard_logs/tiny/version_{n}") for n in (0, 1))
    cli(*fit, *interrupt(*moment), exits=130)
    callbacks = settings if "callbacks" in settings[0] else []  # but not the one that sends the signal
    cli("fit", "--ckpt_path", disturbed, "--trainer.callbacks", "null", *callbacks)
    assert_same_state(undisturbed, disturbed)
    for tag in ("val/loss", "lr", "train/loss_step", "train/loss", "train/accuracy"):
        assert curve(undisturbed, tag) == curve(disturbed, tag)


@pytest.mark.slow
def test_a_run_that_max_time_ended_within_an_epoch_goes_on_there(cli: Run, recipe: Path) -> None:
    fit = ["fit", "--config", recipe, "--trainer.max_epochs", "10000", "--model.scheduler", "null"]
    cli(*fit, "--trainer.max_time", "00:00:00:01")
    run = Path("tensorboard_logs/tiny/version_0")
    steps = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    epochs = steps // 10 + 1
    cli("fit", "--ckpt_path", run, "--trainer.max_time", "null", "--trainer.max_epochs", str(epochs))
    report = json.loads((run / "fit.json").read_text())
    assert (report["epochs"], report["steps"]) == (epochs, 10 * epochs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ends", "goes_on"),
    [
        (["--trainer.max_steps", "15"], ["--trainer.max_steps=-1"]),
        (["--early_stopping.patience", "2"], ["--early_stopping.patience=100"]),
    ],
    ids=["max_steps", "early_stopping"],
)
def test_a_run_ended_within_an_epoch_goes_on_as_one_that_was_not(
    cli: Run, recipe: Path, ends: list[str], goes_on: list[str]
) -> None:
    fit = ["fit", "--config", recipe, "--trainer.max_epochs", "3", "--model.scheduler", "null"]
    fit += ["--trainer.val_check_interval", "0.5", "--early_stopping.min_delta", "100"]  # nothing is an improvement
    cli(*fit, "--early_stopping.patience", "100")
    cli(*fit, "--early_stopping.patience", "100", *ends)
    undisturbed, ended = (Path(f"tensorboard_logs/tiny/version_{n}") for n in (0, 1))
    assert json.loads((ended / "fit.json").read_text())["steps"] == 15
    cli("fit", "--ckpt_path", ended, *goes_on)
    assert raw_points(ended) == raw_points(undisturbed)
    assert_same_state(undisturbed, ended)


ASKED_TO_STOP = [
    "--trainer.max_epochs=16",
    "--model.scheduler=null",
    "--early_stopping.patience=1",
    "--early_stopping.monitor=val/accuracy",
    "--model.network=tests.networks.FallsOnce",
]
"""Early stopping asks for the end after the fall of the accuracy; then that rises again."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "moment", "steps"),
    [
        (["--trainer.min_epochs=5"], ("train", 4, 3), 50),
        (["--trainer.min_epochs=5"], ("validation", 3, 0), 50),
        (["--trainer.min_steps=18", "--trainer.val_check_interval=0.5"], ("train", 1, 6), 18),
        (["--trainer.min_steps=18", "--trainer.val_check_interval=0.5"], ("validation", 1, 0), 18),
    ],
    ids=str,
)
def test_a_run_that_was_asked_to_stop_too_early_stops_when_it_may_also_after_a_kill(
    cli: Run, recipe: Path, settings: list[str], moment: tuple[str, int, int], steps: int
) -> None:
    fit = ["fit", "--config", recipe, *ASKED_TO_STOP, *settings]
    cli(*fit)
    undisturbed, disturbed = (Path(f"tensorboard_logs/tiny/version_{n}") for n in (0, 1))
    assert json.loads((undisturbed / "fit.json").read_text())["steps"] == steps
    cli(*fit, *interrupt(*moment), exits=130)
    cli("fit", "--ckpt_path", disturbed, "--trainer.callbacks", "null")
    assert raw_points(disturbed) == raw_points(undisturbed)
    assert_same_state(undisturbed, disturbed)


@pytest.mark.slow
@pytest.mark.parametrize("step", [25, pytest.param(18, marks=pytest.mark.slow)])
def test_a_run_that_was_asked_to_stop_too_early_and_is_killed_in_a_validation_goes_on_before_it(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At step 25 within the epoch, at step 18 at the end of the run."""
    least = f"--trainer.min_steps={38 if step == 25 else 18}"
    fit = ["fit", "--config", recipe, *ASKED_TO_STOP, least, "--trainer.val_check_interval=0.5"]
    cli(*fit)
    undisturbed, disturbed = (Path(f"tensorboard_logs/tiny/version_{n}") for n in (0, 1))

    def killed(self: FashionMNISTClassifier) -> None:
        if self.global_step == step:
            raise KeyboardInterrupt
        for metrics in self.eval_metrics.values():
            metrics.reset()  # type: ignore[operator]

    with monkeypatch.context() as patched:
        patched.setattr(FashionMNISTClassifier, "on_validation_epoch_start", killed)
        cli(*fit, exits=1)
    cli("fit", "--ckpt_path", disturbed)
    assert raw_points(disturbed) == raw_points(undisturbed)
    assert_same_state(undisturbed, disturbed)
    reports = [json.loads((run / "fit.json").read_text()) for run in (undisturbed, disturbed)]
    assert reports[0]["best"] == reports[1]["best"]
