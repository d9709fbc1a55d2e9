"""A continued run equals an undisturbed one, to the bit; every run validates its last epoch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import tensor

from fashion_lightning.classifier import FashionMNISTClassifier
from tests import kills
from tests.conftest import RUN, SECOND, Run
from tests.interruption import assert_same_state, interrupt
from tests.kills import fingerprint
from tests.test_tensorboard import curve, raw_points

Fitted = Callable[..., Path]

WITH_DROPOUT = ["--model.network=tests.networks.WithDropout"]
ANOTHER = Path("tensorboard_logs/WithDropout/version_0")
"""The run that ``cli`` makes; ``fitted`` moves its own away."""


@pytest.mark.parametrize(
    ("moment", "precision"),
    [
        (("train", 1, 9), "32-true"),
        *(
            pytest.param(moment, precision, marks=pytest.mark.slow)
            for precision, moments in (
                ("32-true", [("epoch start", 0, 0), ("train", 0, 0), ("validation", 0, 0), ("epoch end", 0, 0)]),
                ("32-true", [("epoch start", 2, 0), ("train", 2, 3)]),
                ("bf16-mixed", [("train", 0, 4), ("train", 2, 3)]),
            )
            for moment in moments
        ),
    ],
    ids=str,
)
def test_an_interrupted_run_ends_with_the_same_bits_as_an_undisturbed_one(
    cli: Run, fitted: Fitted, moment: tuple[str, int, int], precision: str
) -> None:
    settings = [*WITH_DROPOUT, "--trainer.max_epochs=3", f"--trainer.precision={precision}"]
    fitted(*settings)
    printed = cli("fit", "--config", "tiny.yaml", *settings, *interrupt(*moment), exits=130)
    assert f"Continue with: fashion-lightning fit --ckpt_path {ANOTHER}" in printed
    cli("fit", "--ckpt_path", ANOTHER, "--trainer.callbacks", "null")
    assert fingerprint(ANOTHER) == fingerprint(RUN)


SETTINGS = [
    ["--trainer.accumulate_grad_batches=3"],
    ["--trainer.val_check_interval=0.5"],
    ["--trainer.check_val_every_n_epoch=2"],
    ["--trainer.check_val_every_n_epoch=3"],
    ["--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=7"],
    ["--trainer.limit_train_batches=6"],
    ["--trainer.max_steps=35"],
    ["--model.scheduler=torch.optim.lr_scheduler.StepLR", "--model.scheduler.init_args.step_size=1"],
    [
        "--trainer.callbacks+=fashion_lightning.callbacks.weight_averaging.WeightEMA",
        "--trainer.callbacks.init_args.decay=0.9",
    ],
    ["--trainer.callbacks+=lightning.pytorch.callbacks.LearningRateMonitor"],
    [
        "--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint",
        "--trainer.callbacks.init_args.save_top_k=-1",
        "--trainer.callbacks.init_args.enable_version_counter=false",
    ],
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "moment"),
    [
        *((settings, ("train", 1, 3)) for settings in SETTINGS),
        *((SETTINGS[n], ("validation", 1, 0)) for n in (1, 8)),
        (SETTINGS[3], ("train", 3, 4)),  # in the last epoch, which is validated because it is the last
    ],
    ids=lambda value: value[0].rpartition(".")[2],
)
def test_an_interrupted_run_is_exact_under_other_settings_of_the_trainer(
    cli: Run, fitted: Fitted, settings: list[str], moment: tuple[str, int, int]
) -> None:
    fit = [*WITH_DROPOUT, "--trainer.max_epochs=4", *settings]
    fitted(*fit)
    cli("fit", "--config", "tiny.yaml", *fit, *interrupt(*moment), exits=130)
    callbacks = settings if "callbacks" in settings[0] else []  # but not the one that sends the signal
    cli("fit", "--ckpt_path", ANOTHER, "--trainer.callbacks", "null", *callbacks)
    assert fingerprint(ANOTHER) == fingerprint(RUN)


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
    assert json.loads((SECOND / "fit.json").read_text())["steps"] == 15
    cli("fit", "--ckpt_path", SECOND, *goes_on)
    assert raw_points(SECOND) == raw_points(RUN)
    assert_same_state(RUN, SECOND)


ASKED_TO_STOP = [
    "--trainer.max_epochs=16",
    "--model.scheduler=null",
    "--early_stopping.patience=1",
    "--early_stopping.monitor=val/accuracy",
    "--model.network=tests.networks.FallsOnce",
]
"""Early stopping asks for the end when the accuracy falls; then the accuracy rises again."""

FALLEN = [Path(f"tensorboard_logs/FallsOnce/version_{number}") for number in range(2)]


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
    assert json.loads((FALLEN[0] / "fit.json").read_text())["steps"] == steps
    cli(*fit, *interrupt(*moment), exits=130)
    cli("fit", "--ckpt_path", FALLEN[1], "--trainer.callbacks", "null")
    assert fingerprint(FALLEN[1]) == fingerprint(FALLEN[0])


@pytest.mark.slow
@pytest.mark.parametrize("step", [25, pytest.param(18, marks=pytest.mark.slow)])
def test_a_run_that_was_asked_to_stop_too_early_and_is_killed_in_a_validation_goes_on_before_it(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At step 25 within the epoch, at step 18 at the end of the run."""
    least = f"--trainer.min_steps={38 if step == 25 else 18}"
    fit = ["fit", "--config", recipe, *ASKED_TO_STOP, least, "--trainer.val_check_interval=0.5"]
    cli(*fit)

    def killed(self: FashionMNISTClassifier) -> None:
        if self.global_step == step:
            raise KeyboardInterrupt
        for metrics in self.eval_metrics.values():
            metrics.reset()  # type: ignore[operator]

    with monkeypatch.context() as patched:
        patched.setattr(FashionMNISTClassifier, "on_validation_epoch_start", killed)
        cli(*fit, exits=1)
    cli("fit", "--ckpt_path", FALLEN[1])
    assert fingerprint(FALLEN[1]) == fingerprint(FALLEN[0])


EVERY_THIRD = ["--trainer.check_val_every_n_epoch", "3"]


def best_of(run: Path) -> Any:
    return json.loads((run / "fit.json").read_text())["best"]


@pytest.mark.slow
@pytest.mark.parametrize("ends", [[], ["--trainer.max_epochs=9", "--trainer.max_steps=20"]], ids=len)
def test_a_run_that_ends_before_its_first_validation_has_an_accuracy_and_can_be_used(
    cli: Run, recipe: Path, ends: list[str]
) -> None:
    assert "Validation        accuracy" in cli("fit", "--config", recipe, *EVERY_THIRD, *ends)
    assert best_of(RUN)["steps"] == 20
    assert "100 predictions" in cli("predict", "--ckpt_path", RUN)


def test_too_few_validation_images_choose_no_epoch(cli: Run, recipe: Path) -> None:
    """Nothing is learned here: the first epoch would be the best one."""
    fit = ["fit", "--config", recipe, "--network=tests.networks.Linear", "--lr=0", "--trainer.max_epochs=3"]
    printed = cli(*fit, "--data.val_size=20")
    assert "20 validation images are too few to choose an epoch by: the last epoch counts." in printed
    assert best_of(Path("tensorboard_logs/Linear/version_0"))["epoch"] == 2


def test_a_run_is_stopped_early_only_if_that_is_asked_for(cli: Run, recipe: Path) -> None:
    never_better = ["--trainer.limit_train_batches=1", "--early_stopping.min_delta=100"]
    cli("fit", "--config", recipe, "--trainer.max_epochs=13", *never_better)
    assert json.loads((RUN / "fit.json").read_text())["epochs"] == 13


@pytest.mark.slow
def test_a_run_that_is_made_longer_goes_on_as_if_it_had_been_so_from_the_start(cli: Run, recipe: Path) -> None:
    """The validation at its earlier end does not change its weights."""
    fit = ["fit", "--config", recipe, *EVERY_THIRD, "--model.scheduler", "null"]
    cli(*fit, "--trainer.max_epochs", "4")
    cli(*fit)
    assert [step for step, _ in curve(SECOND, "val/loss")] == [19]
    cli("fit", "--ckpt_path", SECOND, "--trainer.max_epochs", "4")
    assert_same_state(RUN, SECOND)
    assert curve(RUN, "val/loss") == curve(SECOND, "val/loss")[1:]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "processes"), [(6, 1), (2, 2)])
def test_kills_of_a_process_or_of_either_of_two_leave_no_difference(count: int, processes: int) -> None:
    done, differences = kills.run(count, processes, processes)
    assert done >= count
    assert differences == []


def test_a_single_bit_makes_a_difference() -> None:
    one, other = tensor([1.0, 2.0]), tensor([1.0, 2.0000002])
    assert dict(kills.values({"a": one})) == dict(kills.values({"a": one.clone()}))
    assert dict(kills.values({"a": one})) != dict(kills.values({"a": other}))
    assert dict(kills.values({"a": one})) != dict(kills.values({"a": one.double()}))
