"""One recipe with several seeds: real processes, each a run of its own."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from fashion_lightning.cli.many_fits import fit_settings
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import read_results
from fashion_lightning.sweeps.fits import Repetition, fit_command
from tests import kills
from tests.conftest import Run
from tests.interruption import assert_same_state, wait_for
from tests.test_tensorboard import raw_points

LOGS = Path("tensorboard_logs/tiny")
LONG = ["--seeds", "1", "--trainer.max_epochs", "30"]

pytestmark = pytest.mark.usefixtures("on_generated_data")


@pytest.mark.slow
def test_a_finished_run_of_another_recipe_or_seed_is_not_taken_for_this_one(recipe: Path, trained: Path) -> None:
    def repetition(*options: str) -> Repetition:
        fit_options = ["--config", str(recipe), *options]
        return Repetition(*fit_settings(fit_options), fit_options, test=False)

    same = repetition()
    assert [same.run_of(seed) for seed in (0, 1)] == [trained, None]
    assert repetition("--data.shift", "2").run_of(0) is None
    assert fit_command(LOGS / "version_1", ["--seed_everything=1"], same.config) == ["fit", "--seed_everything=1"]
    (trained / "fit.json").write_text("{")
    assert fit_command(trained, [], same.config)[:3] == ["fit", "--ckpt_path", str(trained)]


@pytest.mark.slow
def test_a_flag_typed_for_a_continued_repetition_reaches_fit_and_test(
    cli: Run, recipe: Path, trained: Path, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "moved")
    (trained / "fit.json").unlink()
    for file in (recipe, trained / "config.yaml"):
        file.write_text(file.read_text().replace(str(data), str(tmp_path / "gone")))
    typed = ["--data.root", tmp_path / "moved", "--trainer.log_every_n_steps", "3"]
    printed = cli("repeat", "--config", recipe, "--seeds", "1", "--test", *typed)
    assert re.search(r"seed 0   validation .* %   test .* %", printed)
    assert not (tmp_path / "gone").exists()


@pytest.mark.slow
def test_only_what_is_missing_is_run_and_each_run_is_the_one_that_fit_makes_alone(cli: Run, recipe: Path) -> None:
    command = ["repeat", "--config", recipe, "--seeds", "2", "--processes", "2", "--test"]
    cli("fit", "--config", recipe, "--seed_everything", "1")
    alone = Path(shutil.move(LOGS / "version_0", "alone"))
    printed = cli(*command)
    assert "Seeds of tiny: 2, 2 at a time" in printed
    for seed in (0, 1):
        assert re.search(rf"seed {seed}   validation .* %   test .* %   .* s   {LOGS}/version_\d", printed)
    assert "2 of 2 done" in printed
    assert re.search(r"^ ?tiny +2 +1,628 ", printed, flags=re.MULTILINE)
    runs = {read_results(run).fit["seed"]: run for run in LOGS.glob("version_*")}
    assert sorted(runs) == [0, 1]
    assert raw_points(alone).items() <= raw_points(runs[1]).items()  # which has those of its test, too
    assert_same_state(runs[1], alone)
    kept = (runs[0] / "fit.json").stat()
    shutil.rmtree(runs[1])
    assert "2 of 2 done" in cli(*command)
    assert (runs[0] / "fit.json").stat() == kept
    assert len(list(LOGS.glob("version_*"))) == 2


@pytest.mark.slow
def test_a_seed_that_fails_is_named_and_the_others_are_shown(cli: Run, recipe: Path, trained: Path) -> None:
    for name in ("last", "best"):
        (trained / f"checkpoints/{name}.ckpt").write_bytes(b"torn")
    (trained / "fit.json").unlink()
    printed = cli("repeat", "--config", recipe, "--seeds", "2", exits=2)
    assert re.search(r"error: seed 0: .*\.ckpt .*it is not a whole checkpoint file", printed)
    assert re.search(r"seed 1   validation", printed)


@pytest.mark.slow
def test_an_interrupted_and_a_killed_repetition_go_on_where_they_stopped(
    cli: Run, recipe: Path, command_on_generated_data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    long, run = ["repeat", "--config", str(recipe), *LONG], LOGS / "version_0"
    process = subprocess.Popen([*command_on_generated_data, *long], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: (progress := read_progress(run)) and progress.step, process)
    assert cli(*long, exits=2) == (
        f"error: Another repeat of tiny runs, in {LOGS}. Wait for it or stop it; the same command goes on.\n"
    )
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on from here." in printed
    steps = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert 0 < steps < 300

    process = subprocess.Popen([*command_on_generated_data, *long], stdout=subprocess.DEVNULL, text=True)
    wait_for(lambda: (progress := read_progress(run)) and progress.state == "training", process)
    process.kill()
    process.wait()
    progress = read_progress(run)
    assert progress is not None
    assert "1 of 1 done" in cli(*long)  # at once, while that process is still saving
    wait_for(lambda: not kills.is_running(progress.pid))
    assert [folder.name for folder in LOGS.glob("version_*")] == ["version_0"]
    assert read_results(run).fit["steps"] == 300
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.slow
def test_a_seed_that_another_process_trains_is_waited_for(
    cli: Run, recipe: Path, command_on_generated_data: list[str]
) -> None:
    fit = ["fit", "--config", str(recipe), *LONG[2:]]
    process = subprocess.Popen(
        [*command_on_generated_data, *fit], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    wait_for(lambda: read_progress(LOGS / "version_0"), process)
    printed = cli("repeat", "--config", recipe, *LONG)
    assert f"seed 0   waits for another process, which trains it in {LOGS}/version_0" in printed
    assert "seed 0   validation" in printed
    assert [run.name for run in LOGS.glob("version_*")] == ["version_0"]
    process.wait()


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_threads_are_shared_and_it_is_said(cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = len(os.sched_getaffinity(0))
    printed = cli("repeat", "--config", recipe, "--seeds", "1", "--processes", str(cores), "--trainer.max_epochs", "1")
    assert (
        "Each takes OMP_NUM_THREADS=1. A fit alone takes all threads, and its weights differ in the last bits"
        in printed
    )
    progress = read_progress(LOGS / "version_0")
    assert progress is not None
    assert progress.threads == 1


@pytest.mark.slow
def test_the_reason_is_told_where_every_seed_fails(cli: Run, recipe: Path) -> None:
    ruinous = ["--seeds", "2", "--model.optimizer.init_args.bias_lr", "1e38"]
    printed = cli("repeat", "--config", recipe, *ruinous, exits=2)
    for seed in (0, 1):
        assert f"seed {seed}: The training loss is nan at step" in printed.splitlines()[-1]
