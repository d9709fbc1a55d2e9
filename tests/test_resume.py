"""Continuing a run: in the same folder, with typed flags that count, refusals, and what a failure leaves."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
import yaml

from tests import networks
from tests.conftest import Run
from tests.interruption import interrupt, weights_and_optimizer
from tests.test_tensorboard import curve


def test_a_longer_fit_continues_in_the_same_folder_on_one_curve(cli: Run, trained: Path) -> None:
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "4")
    assert "after 2 epochs" in printed
    assert "schedule now spans 4 epochs, not 2" in printed
    assert [path.name for path in trained.parent.iterdir()] == ["version_0"]
    assert {path.name for path in (trained / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert yaml.safe_load((trained / "config.yaml").read_text())["trainer"]["max_epochs"] == 4
    assert json.loads((trained / "fit.json").read_text())["epochs"] == 4
    assert [step for step, _ in curve(trained, "val/accuracy")] == [9, 19, 29, 39]


@pytest.mark.parametrize(
    "typed",
    [
        ["--data.val_size=50"],
        ["--model.scheduler=null"],
        ["--model.scheduler=fashion_lightning.schedules.CosineDecay"],
        ["--model.optimizer=torch.optim.AdamW"],
        ["--best_checkpoint.monitor=val/loss"],
    ],
    ids=lambda typed: typed[0],
)
def test_a_setting_that_could_only_be_ignored_or_spoil_the_run_is_refused(
    cli: Run, trained: Path, typed: list[str]
) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs=3", *typed, exits=2)
    assert "cannot change from" in printed
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_another_number_of_processes_cannot_go_on_within_an_epoch(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, "--trainer.max_steps", "7")
    run = Path("tensorboard_logs/tiny/version_0")
    last = run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    assert content["fashion_lightning"]["processes"] == 1
    content["fashion_lightning"]["processes"] = 2
    torch.save(content, last)
    printed = cli("fit", "--ckpt_path", run, "--trainer.max_steps", "20", exits=2)
    assert f"{last} lies within an epoch, whose images 2 processes have shared; 1 cannot go on there" in printed


def test_the_split_cannot_be_moved_under_a_trained_run(cli: Run, trained: Path) -> None:
    assert "cannot change from 100 to 300" in cli("validate", "--ckpt_path", trained, "--data.val_size=300", exits=2)


@pytest.mark.slow
def test_another_batch_size_holds_from_the_next_epoch_but_not_within_one(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, *interrupt("train", 1, 2), exits=130)
    run = Path("tensorboard_logs/tiny/version_0")
    typed = ["--data.batch_size=25", "--trainer.callbacks=null", "--trainer.max_epochs=3"]
    assert "--data.batch_size cannot change" in cli("fit", "--ckpt_path", run, *typed, exits=2)
    cli("fit", "--ckpt_path", run, "--trainer.callbacks=null")
    cli("fit", "--ckpt_path", run, *typed)
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 40


@pytest.mark.parametrize("damage", ["torn", pytest.param("missing", marks=pytest.mark.slow)])
def test_a_bad_last_checkpoint_is_replaced_by_the_newest_whole_one(cli: Run, trained: Path, damage: str) -> None:
    """The best checkpoint of this run is from its last epoch, so that nothing at all is lost."""
    cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    undisturbed = weights_and_optimizer(trained)
    shutil.rmtree(trained)
    cli("fit", "--config", trained.parents[2] / "tiny.yaml")
    last = trained / "checkpoints/last.ckpt"
    last.unlink() if damage == "missing" else last.write_bytes(last.read_bytes()[:1000])
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    assert ("No such file" if damage == "missing" else "is not a whole checkpoint file") in printed
    assert f"Going on from {trained}/checkpoints/best.ckpt, the best checkpoint." in printed
    assert [path.name for path in trained.parent.iterdir()] == ["version_0"]
    for a, b in zip(weights_and_optimizer(trained), undisturbed, strict=True):
        assert torch.equal(a, b)
    cli("test", "--ckpt_path", trained)


def test_sigterm_ends_with_143_and_a_checkpoint(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, *interrupt("train", 1, 2, signal.SIGTERM), exits=143)
    content = torch.load("tensorboard_logs/tiny/version_0/checkpoints/last.ckpt", weights_only=True)
    assert content["global_step"] == 13


@pytest.mark.slow
def test_ctrl_c_of_a_real_process_leaves_a_checkpoint_to_continue_from(
    cli: Run, recipe: Path, command_on_generated_data: list[str]
) -> None:
    command = [*command_on_generated_data, "fit", "--config", str(recipe), "--trainer.max_epochs", "10000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    run = Path("tensorboard_logs/tiny/version_0")
    deadline = time.monotonic() + 60
    while not (run / "checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert f"Interrupted. Continue with: fashion-lightning fit --ckpt_path {run}" in printed
    assert "Traceback" not in printed
    done = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    cli("fit", "--ckpt_path", run, "--trainer.max_steps", str(done + 3))
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"] == done + 3


def test_a_finished_run_says_so_and_changes_nothing(cli: Run, trained: Path) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    printed = cli("fit", "--ckpt_path", trained)
    assert "has finished its 2 epochs; nothing was changed" in printed
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_a_run_that_goes_on_is_not_finished_until_its_end(cli: Run, trained: Path) -> None:
    cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "4", *interrupt("train", 2, 3), exits=130)
    assert not (trained / "fit.json").exists()
    cli("fit", "--ckpt_path", trained, "--trainer.callbacks", "null")
    assert json.loads((trained / "fit.json").read_text())["epochs"] == 4


def test_settings_typed_for_a_continuation_hold_even_if_it_is_killed_at_once(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("fashion_lightning.callbacks.reseed.ReseedEachStep.on_train_batch_start", killed)
        cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "4", "--data.shift", "2", exits=1)
    cli("fit", "--ckpt_path", trained)
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert (config["trainer"]["max_epochs"], config["data"]["shift"]) == (4, 2)
    assert json.loads((trained / "fit.json").read_text())["epochs"] == 4


def test_a_best_checkpoint_that_was_written_just_before_a_kill_is_replaced(cli: Run, recipe: Path) -> None:
    """The last checkpoint does not know of it."""
    cli("fit", "--config", recipe, *interrupt("train", 0, 3), exits=130)
    checkpoints = Path("tensorboard_logs/tiny/version_0/checkpoints")
    shutil.copy(checkpoints / "last.ckpt", checkpoints / "best.ckpt")
    cli("fit", "--ckpt_path", checkpoints.parent, "--trainer.callbacks", "null")
    assert {path.name for path in checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert torch.load(checkpoints / "best.ckpt", weights_only=True)["global_step"] >= 10


def test_another_seed_is_refused_on_resume(cli: Run, trained: Path) -> None:
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "4", "--seed_everything", "7", exits=2)
    assert "error: --seed_everything cannot change from 0 to 7" in printed


def test_a_finished_best_checkpoint_leaves_no_empty_run_folder(cli: Run, trained: Path) -> None:
    assert "has finished its 2 epochs" in cli("fit", "--ckpt_path", trained / "checkpoints/best.ckpt")
    assert [path.name for path in trained.parent.iterdir()] == ["version_0"]


def test_a_validation_loss_that_is_not_finite_stops_the_run(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe, "--model.network", "tests.networks.InfiniteInValidation", exits=2)
    assert "error: The validation loss is inf at step 10, with a learning rate of" in printed
    assert "The last good checkpoint: tensorboard_logs/tiny/version_0/checkpoints/last.ckpt" in printed
    last = torch.load("tensorboard_logs/tiny/version_0/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 0


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_run_that_was_killed_before_its_report_gets_it_from_its_last_checkpoint(
    cli: Run, trained: Path, damage: str
) -> None:
    report = json.loads((trained / "fit.json").read_text())
    (trained / "fit.json").unlink() if damage == "missing" else (trained / "fit.json").write_text("{")
    printed = cli("fit", "--ckpt_path", trained)
    assert "has finished its 2 epochs" in printed
    assert "Best checkpoint" in printed
    again = json.loads((trained / "fit.json").read_text())
    assert again.pop("fit_seconds") <= report.pop("fit_seconds")  # up to the checkpoint
    assert report.pop("start_seconds") > 0  # of a process that is gone
    assert again == report


@pytest.mark.slow
def test_a_run_that_stopped_early_says_so_unless_it_is_given_more_patience(cli: Run, recipe: Path) -> None:
    stuck = ["--early_stopping.monitor=val/accuracy", "--early_stopping.min_delta=1"]
    cli("fit", "--config", recipe, "--trainer.max_epochs", "9", "--early_stopping.patience", "2", *stuck)
    run = Path("tensorboard_logs/tiny/version_0")
    assert json.loads((run / "fit.json").read_text())["epochs"] == 3
    assert "was stopped early after 3 epochs" in cli("fit", "--ckpt_path", run)
    cli("fit", "--ckpt_path", run, "--early_stopping.patience", "4")
    assert json.loads((run / "fit.json").read_text())["epochs"] == 5


@pytest.mark.slow
def test_a_run_without_any_patience_is_continued_after_a_kill(cli: Run, recipe: Path) -> None:
    fit = ["--trainer.max_epochs=9", "--early_stopping.patience=0", "--early_stopping.monitor=train/accuracy"]
    cli("fit", "--config", recipe, *fit, *interrupt("train", 1, 2), exits=130)
    run = Path("tensorboard_logs/tiny/version_0")
    cli("fit", "--ckpt_path", run, "--trainer.callbacks=null", "--early_stopping.min_delta=1")
    assert json.loads((run / "fit.json").read_text())["epochs"] == 2
    said = cli("fit", "--ckpt_path", run)
    assert "was stopped early after 2 epochs, by --early_stopping.patience 0; nothing was changed" in said
    assert "--early_stopping.patience 2" in said
    cli("fit", "--ckpt_path", run, "--early_stopping.patience=2")
    assert json.loads((run / "fit.json").read_text())["epochs"] == 3


@pytest.mark.slow
def test_typed_optimizer_settings_hold_after_a_checkpoint(cli: Run, recipe: Path) -> None:
    constant = ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.init_args.lr", "0.1"]
    cli("fit", "--config", recipe, *constant, "--model.scheduler", "null")
    run = Path("tensorboard_logs/tiny/version_0")
    typed = ["--model.optimizer.init_args.lr", "0.025", "--model.optimizer.init_args.momentum", "0.5"]
    cli("fit", "--ckpt_path", run, "--trainer.max_epochs", "3", *typed)
    assert [round(value, 4) for _, value in curve(run, "lr")] == [0.1] * 4 + [0.025] * 2
    (group,) = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"]
    assert (group["lr"], group["momentum"]) == (0.025, 0.5)


@pytest.mark.slow
def test_a_typed_learning_rate_is_scaled_by_the_schedule_that_goes_on(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, "--trainer.max_epochs", "4", *interrupt("train", 1, 9), exits=130)
    run = Path("tensorboard_logs/tiny/version_0")
    double = ["--model.optimizer.init_args.lr", "0.24", "--trainer.callbacks", "null"]
    cli("fit", "--ckpt_path", run, *double)
    rates = dict(curve(run, "lr"))
    assert rates[19] == pytest.approx(0.12 * (1 - 19 / 40))
    assert rates[24] == pytest.approx(0.24 * (1 - 24 / 40))


def test_another_optimizer_is_refused_on_resume(cli: Run, trained: Path) -> None:
    other = ["--model.optimizer", "torch.optim.AdamW", "--trainer.max_epochs", "3"]
    printed = cli("fit", "--ckpt_path", trained, *other, exits=2)
    assert (
        "error: --model.optimizer cannot change from fashion_lightning.optimizers.Muon to torch.optim.AdamW" in printed
    )


def test_continuing_from_the_best_checkpoint_branches_off_into_a_new_run(cli: Run, trained: Path) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    cli("fit", "--ckpt_path", trained / "checkpoints/best.ckpt", "--trainer.max_epochs", "3")
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before
    branch = trained.parent / "version_1"
    assert {path.name for path in (branch / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_an_error_within_training_is_one_line_and_its_traceback_is_kept(cli: Run, recipe: Path) -> None:
    printed = cli("fit", "--config", recipe, "--model.network", "tests.networks.FailsLater", exits=2)
    details = Path("tensorboard_logs/tiny/version_0/traceback.txt")
    lines = Path(networks.__file__).read_text().splitlines()
    place = f"({networks.__file__}, line {1 + next(n for n, line in enumerate(lines) if '(step 4)' in line)})"
    assert f"error: Training failed: RuntimeError: by design (step 4) {place} The whole" in printed
    assert f"traceback is in {details}" in printed
    assert "Traceback" not in printed
    assert "tests/networks.py" in details.read_text()


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_last_good_checkpoint(cli: Run, trained: Path) -> None:
    before = weights_and_optimizer(trained)
    ruinous = ["--model.optimizer.init_args.bias_lr", "1e38", "--trainer.max_epochs", "4"]
    printed = cli("fit", "--ckpt_path", trained, *ruinous, exits=2)
    assert "error: The training loss is nan at step 2" in printed
    assert "with a learning rate of" in printed
    assert printed.rstrip().endswith(f"The last good checkpoint: {trained}/checkpoints/last.ckpt")
    for a, b in zip(weights_and_optimizer(trained), before, strict=True):
        assert torch.equal(a, b)
