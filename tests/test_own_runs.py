"""Whose settings count: a run folder where the user keeps runs, one from elsewhere, and whose checkpoint it holds."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import RUN, Run


def test_the_config_of_a_run_counts_only_where_the_user_keeps_runs(cli: Run, trained: Path) -> None:
    """In tensorboard_logs, or where --trainer.default_root_dir says; a link to another place does not count."""
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
    assert "If you keep runs in downloads, add --trainer.default_root_dir downloads." in refused
    cli("fit", "--ckpt_path", sent, "--trainer.max_epochs", "3", "--trainer.default_root_dir", "downloads")


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
