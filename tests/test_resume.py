"""Continuing a run: its folder, which settings count, and what a failure leaves."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests import networks
from tests.conftest import RUN, Run
from tests.interruption import assert_same_state, interrupt, weights_and_optimizer
from tests.test_tensorboard import curve


def contents(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def report() -> Any:
    return json.loads((RUN / "fit.json").read_text())


def last(run: Path = RUN) -> Any:
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)


@pytest.fixture
def interrupted(fitted: Callable[..., Path]) -> Path:
    """A run of 4 epochs that SIGTERM ended in its second one, after 13 steps."""
    run = fitted("--trainer.max_epochs=4", *interrupt("train", 1, 2, signal.SIGTERM), exits=143)
    assert last()["global_step"] == 13
    assert not (run / "fit.json").exists()
    return run


def test_a_longer_fit_continues_in_the_same_folder_on_one_curve(cli: Run, trained: Path) -> None:
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "4")
    assert "after 2 epochs" in printed
    assert [path.name for path in trained.parent.iterdir()] == ["version_0"]
    assert {path.name for path in (trained / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert yaml.safe_load((trained / "config.yaml").read_text())["trainer"]["max_epochs"] == 4
    assert report()["epochs"] == 4
    assert [step for step, _ in curve(trained, "val/accuracy")] == [9, 19, 29, 39]


def test_within_an_epoch_neither_processes_nor_batch_size_can_change(cli: Run, interrupted: Path) -> None:
    assert "--data.batch_size cannot change" in cli("fit", "--ckpt_path", interrupted, "--data.batch_size=25", exits=2)
    content = last()
    content["fashion_lightning"]["processes"] = 2
    torch.save(content, interrupted / "checkpoints/last.ckpt")
    printed = cli("fit", "--ckpt_path", interrupted, exits=2)
    assert "was saved within an epoch that 2 processes shared; 1 cannot continue it" in printed


@pytest.mark.slow
def test_the_best_checkpoint_takes_the_place_of_a_bad_last_one(cli: Run, trained: Path) -> None:
    """The best checkpoint of this run is from its last epoch, so that nothing at all is lost."""
    undisturbed = trained.with_name("version_1")
    shutil.copytree(trained, undisturbed)
    cli("fit", "--ckpt_path", undisturbed, "--trainer.max_epochs", "3")
    bad = trained / "checkpoints/last.ckpt"
    bad.write_bytes(bad.read_bytes()[:1000])
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    assert "is not a whole checkpoint file" in printed
    assert f"Going on from {trained}/checkpoints/best.ckpt, the best checkpoint." in printed
    assert_same_state(trained, undisturbed)


def test_a_finished_run_says_so_and_changes_nothing(cli: Run, trained: Path) -> None:
    before = contents(trained)
    for path in (trained, trained / "checkpoints/best.ckpt"):
        assert "has finished its 2 epochs; nothing was changed" in cli("fit", "--ckpt_path", path)
    no_time = ["--trainer.max_epochs=9", "--trainer.max_time=00:00:00:00"]
    assert "was ended by trainer.max_time after" in cli("fit", "--ckpt_path", trained, *no_time)
    assert contents(trained) == before
    assert [path.name for path in trained.parent.iterdir()] == ["version_0"]


@pytest.mark.slow
def test_settings_typed_for_a_continuation_hold_even_if_it_is_killed_at_once(
    cli: Run, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("fashion_lightning.callbacks.exact_resume.ReseedEachStep.on_train_batch_start", killed)
        cli("fit", "--ckpt_path", interrupted, "--trainer.max_epochs", "3", "--data.shift", "2", exits=1)
    assert not (interrupted / "fit.json").exists()
    cli("fit", "--ckpt_path", interrupted)
    config = yaml.safe_load((interrupted / "config.yaml").read_text())
    assert (config["trainer"]["max_epochs"], config["data"]["shift"]) == (3, 2)
    assert report()["epochs"] == 3


@pytest.mark.slow
def test_a_best_checkpoint_that_was_written_just_before_a_kill_is_replaced(cli: Run, recipe: Path) -> None:
    """The last checkpoint does not know of it."""
    cli("fit", "--config", recipe, *interrupt("train", 0, 3), exits=130)
    checkpoints = RUN / "checkpoints"
    shutil.copy(checkpoints / "last.ckpt", checkpoints / "best.ckpt")
    cli("fit", "--ckpt_path", RUN, "--trainer.callbacks", "null")
    assert {path.name for path in checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert torch.load(checkpoints / "best.ckpt", weights_only=True)["global_step"] >= 10


def test_a_run_that_was_killed_before_its_report_gets_it_from_its_last_checkpoint(cli: Run, trained: Path) -> None:
    before = report()
    (trained / "fit.json").write_text("{")
    cli("fit", "--ckpt_path", trained, "--epochs", "1")  # of two, so that the run may be unfinished
    assert (trained / "fit.json").read_text() == "{"
    assert "Best checkpoint" in cli("fit", "--ckpt_path", trained)
    assert report() | {"fit_seconds": 0} == before | {"fit_seconds": 0}  # ends at the checkpoint


@pytest.mark.slow
def test_a_run_that_stopped_early_says_so_unless_it_is_given_more_patience(cli: Run, recipe: Path) -> None:
    """Also after a kill, and without any patience."""
    fit = [
        *("--trainer.max_epochs=9", "--trainer.check_val_every_n_epoch=5"),
        *("--early_stopping.patience=0", "--early_stopping.monitor=train/accuracy"),
    ]
    cli("fit", "--config", recipe, *fit, *interrupt("train", 1, 2), exits=130)
    cli("fit", "--ckpt_path", RUN, "--trainer.callbacks=null", "--early_stopping.min_delta=1")
    assert (report()["epochs"], report()["best"]["epoch"]) == (2, 1)  # the last one is validated
    said = cli("fit", "--ckpt_path", RUN)
    assert "was stopped early after 2 epochs, by --early_stopping.patience 0; nothing was changed" in said
    assert "--early_stopping.patience 2" in said
    cli("fit", "--ckpt_path", RUN, "--early_stopping.patience=2")
    assert report()["epochs"] == 3


@pytest.mark.slow
def test_typed_optimizer_settings_hold_after_a_checkpoint(cli: Run, recipe: Path) -> None:
    constant = ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.init_args.lr", "0.1"]
    cli("fit", "--config", recipe, *constant, "--model.scheduler", "null")
    typed = ["--model.optimizer.init_args.lr", "0.025", "--model.optimizer.init_args.momentum", "0.5"]
    cli("fit", "--ckpt_path", RUN, "--trainer.max_epochs", "3", *typed)
    assert [round(value, 4) for _, value in curve(RUN, "lr")] == [0.1] * 4 + [0.025] * 2


def test_continuing_from_the_best_checkpoint_branches_off_into_a_new_run(cli: Run, trained: Path) -> None:
    before = contents(trained)
    cli("fit", "--ckpt_path", trained / "checkpoints/best.ckpt", "--trainer.max_epochs", "3")
    assert contents(trained) == before
    branch = trained.parent / "version_1"
    assert {path.name for path in (branch / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_an_error_within_training_is_one_line_with_its_place_and_a_traceback_if_wanted(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = ["fit", "--config", recipe, "--model.network", "tests.networks.FailsLater"]
    printed = cli(*fit, exits=2)
    lines = Path(networks.__file__).read_text().splitlines()
    place = f"({networks.__file__}, line {1 + next(n for n, line in enumerate(lines) if '(step 4)' in line)})"
    assert (
        f"error: Training failed: RuntimeError: by design (step 4) {place} The last good checkpoint: tensorboard_logs/"
        in printed
    )
    assert "Traceback" not in printed
    monkeypatch.setenv("FASHION_LIGHTNING_DEBUG", "1")
    assert "Traceback (most recent call last)" in cli(*fit, exits=2)


def test_a_validation_loss_that_is_not_finite_stops_the_run(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe, "--model.network", "tests.networks.InfiniteInValidation", exits=2)
    assert "error: The validation loss is inf at step 10, with a learning rate of" in printed
    assert last(Path("tensorboard_logs/InfiniteInValidation/version_0"))["global_step"] == 0


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_last_good_checkpoint(cli: Run, trained: Path) -> None:
    before = weights_and_optimizer(trained)
    ruinous = ["--model.optimizer.init_args.bias_lr", "1e38", "--trainer.max_epochs", "4"]
    printed = cli("fit", "--ckpt_path", trained, *ruinous, exits=2)
    assert "error: The training loss is nan at step 2" in printed
    assert printed.rstrip().endswith(f"The last good checkpoint: {trained}/checkpoints/last.ckpt")
    assert all(torch.equal(a, b) for a, b in zip(weights_and_optimizer(trained), before, strict=True))


@pytest.mark.slow
def test_the_config_of_a_run_counts_only_where_the_user_keeps_runs(cli: Run, trained: Path) -> None:
    """In tensorboard_logs, or where --runs says; a link to another place does not count."""
    config = yaml.safe_load((trained / "config.yaml").read_text())
    config["trainer"]["limit_test_batches"] = 0
    (trained / "config.yaml").write_text(yaml.safe_dump(config))
    assert "There was nothing to test" in cli("test", "--ckpt_path", trained, exits=2)
    sent = Path("downloads/tiny/version_0")
    shutil.copytree(trained, sent)
    cli("test", "--ckpt_path", sent)
    assert (sent / "test_best.json").is_file()
    Path("tensorboard_logs/link").mkdir()
    Path("tensorboard_logs/link/version_0").symlink_to(sent.absolute())
    cli("test", "--ckpt_path", "tensorboard_logs/link/version_0")
    refused = cli("fit", "--ckpt_path", sent, "--trainer.max_epochs", "3", exits=2)
    assert f"If you keep runs there: --ckpt_path {sent} --runs downloads." in refused
    cli("fit", "--ckpt_path", sent, "--trainer.max_epochs", "3", "--runs", "downloads")


@pytest.mark.slow
def test_a_checkpoint_of_another_run_is_not_taken_for_this_ones(cli: Run, trained: Path, recipe: Path) -> None:
    cli("fit", "--config", recipe, "--data.shift", "2")
    other = Path("tensorboard_logs/tiny/version_1/checkpoints/last.ckpt")
    shutil.copy(trained / "checkpoints/last.ckpt", other)
    printed = cli("fit", "--ckpt_path", other, "--trainer.max_epochs", "3", exits=2)
    assert f"error: {other} belongs to another run than the folder it lies in" in printed
    assert "Going on from" in cli("fit", "--ckpt_path", other.parents[1], "--trainer.max_epochs", "3")  # its best one


def test_a_run_folder_that_lost_its_config_is_continued_in_place(cli: Run, trained: Path) -> None:
    (trained / "config.yaml").unlink()
    cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    assert [path.name for path in trained.parent.iterdir()] == ["version_0"]
    assert yaml.safe_load((trained / "config.yaml").read_text())["trainer"]["max_epochs"] == 3


def test_an_edited_config_counts(cli: Run, trained: Path) -> None:
    config = (trained / "config.yaml").read_text()
    (trained / "config.yaml").write_text(
        config.replace("max_epochs: 2", "max_epochs: 3").replace("shift: 1", "shift: 2")
    )
    cli("fit", "--ckpt_path", trained)
    saved = yaml.safe_load((trained / "config.yaml").read_text())
    assert (saved["data"]["shift"], saved["trainer"]["max_epochs"]) == (2, 3)
    (trained / "config.yaml").write_text(config.replace("seed_everything: 0", "seed_everything: 5"))
    assert "--seed_everything cannot change from 0 to 5" in cli("fit", "--ckpt_path", trained, exits=2)


@pytest.mark.slow
def test_a_checkpoint_that_holds_half_a_step_is_taken_with_a_warning(cli: Run, recipe: Path) -> None:
    """Validated after 3 of 10 batches, of which 4 make a step; nothing gets better after that."""
    half = ["--trainer.accumulate_grad_batches=4", "--trainer.val_check_interval=0.3", "--trainer.max_epochs=1"]
    worse = [f"--model.optimizer.init_args.{name}=1e3" for name in ("lr", "bias_lr", "dense_lr")]
    cli("fit", "--config", recipe, *half, *worse)
    (RUN / "checkpoints/last.ckpt").write_bytes(b"torn")
    printed = cli("fit", "--ckpt_path", RUN, "--trainer.max_epochs", "2")
    assert f"Going on from {RUN}/checkpoints/best.ckpt, the best checkpoint. The run will not end with" in printed


def test_a_signal_before_the_first_step_leaves_no_folder_even_if_lightning_fails_to_clean_up(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(*_: object, **__: object) -> None:
        try:
            raise SystemExit(143)
        finally:
            raise RuntimeError("Please call `iter(combined_loader)` first.")

    monkeypatch.setattr("lightning.Trainer.fit", terminated)
    assert "error" not in cli("fit", "--config", recipe, exits=143)
    assert not Path("tensorboard_logs").exists()
