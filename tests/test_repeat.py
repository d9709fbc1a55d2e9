"""One recipe with several seeds: real processes, each a run of its own."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from fashion_lightning import children as parent
from fashion_lightning.children import Children
from fashion_lightning.cli.fit_settings import fit_settings
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import read_config, read_results
from fashion_lightning.sweeps.jobs import Runner
from fashion_lightning.sweeps.repetition import Repetition
from tests.conftest import Run
from tests.interruption import assert_same_state
from tests.test_tensorboard import raw_points

LOGS = Path("tensorboard_logs/tiny")


@pytest.fixture(autouse=True)
def on_generated_data(monkeypatch: pytest.MonkeyPatch, command_on_generated_data: list[str]) -> None:
    monkeypatch.setattr(parent, "PROGRAM", tuple(command_on_generated_data))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--seeds", "0"], "must be a whole number of at least 1"),
        (["--processes", "0"], "must be a whole number of at least 1"),
        (["--seeds", "many"], "must be a whole number of at least 1"),
        (["--seed_everything", "3"], "the seeds are 0 to 4: leave --seed_everything out."),
        (["--ckpt_path=tensorboard_logs/tiny/version_0"], "leave --ckpt_path out."),
        (["--config", "missing.yaml"], "There is no config file missing.yaml"),
    ],
)
def test_options_that_make_no_sense_are_refused(cli: Run, options: list[str], line: str) -> None:
    printed = cli("repeat", *options, exits=2)
    assert printed.startswith("error: ")
    assert line in printed
    assert printed.count("\n") == 1


@pytest.mark.slow
def test_what_fit_cannot_take_is_refused_in_fits_own_words(cli: Run, recipe: Path) -> None:
    printed = cli("repeat", "--config", recipe, "--data.batch_sise", "3", exits=2)
    assert printed.startswith("error: ")
    assert "batch_sise" in printed
    printed = cli("repeat", "--config", recipe, "--trainer.fast_dev_run", "true", exits=2)
    assert "leave trainer.fast_dev_run out" in printed
    assert not LOGS.exists()


def repetition(recipe: Path, *options: str, seeds: int = 1, test: bool = False) -> Repetition:
    fit_options = ["--config", str(recipe), *options]
    return Repetition("tiny", fit_settings(fit_options)[1], fit_options, seeds, test)


@pytest.mark.slow
def test_a_finished_run_of_another_recipe_or_seed_is_not_taken_for_this_one(recipe: Path, trained: Path) -> None:
    same = repetition(recipe, seeds=2)
    assert [job.run_dir for job in same.jobs] == [trained, None]
    assert [job.run_dir for job in repetition(recipe, "--data.shift", "2").jobs] == [None]
    assert same.next_command(same.jobs[0]) is None
    assert same.next_command(same.jobs[1]) == ["fit", "--config", str(recipe), "--seed_everything", "1"]
    (trained / "fit.json").write_text("{")
    assert (same.next_command(same.jobs[0]) or [])[:3] == ["fit", "--ckpt_path", str(trained)]
    (trained / "fit.json").unlink()
    assert (same.next_command(same.jobs[0]) or [])[:3] == ["fit", "--ckpt_path", str(trained)]
    (trained.parent / "version_9").mkdir()
    (trained.parent / "version_9/config.yaml").write_text("model: {}")  # somebody else's
    assert repetition(recipe).jobs[0].run_dir == trained


@pytest.mark.slow
def test_flags_hold_for_a_run_that_goes_on_and_for_its_test(
    cli: Run, recipe: Path, trained: Path, tmp_path: Path, data: Path
) -> None:
    typed = ["--data.root", str(tmp_path / "moved"), "--trainer.log_every_n_steps", "3"]
    shutil.copytree(data, tmp_path / "moved")
    again = repetition(recipe, *typed, test=True)
    assert again.jobs[0].run_dir == trained
    tested = again.next_command(again.jobs[0]) or []
    assert tested[:3] == ["test", "--ckpt_path", str(trained)]
    assert {f"--data.root={tmp_path / 'moved'}", "--model.tta=flip"} < set(tested)
    (trained / "fit.json").unlink()
    continued = again.next_command(again.jobs[0]) or []
    assert {f"--data.root={tmp_path / 'moved'}", "--trainer.log_every_n_steps=3"} < set(continued)
    cli(*continued)  # both can be typed
    cli(*tested)
    devices = {f"--trainer.{name}=" for name in ("accelerator", "devices", "strategy", "precision")}
    assert all(any(flag.startswith(device) for flag in continued) for device in devices)


@pytest.mark.slow
def test_a_flag_typed_for_a_continued_repetition_reaches_fit_and_test(
    cli: Run, recipe: Path, trained: Path, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "moved")
    (trained / "fit.json").unlink()
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace(str(data), str(tmp_path / "gone")), encoding="utf-8")
    config = (trained / "config.yaml").read_text(encoding="utf-8")
    (trained / "config.yaml").write_text(config.replace(str(data), str(tmp_path / "gone")), encoding="utf-8")
    command = ["repeat", "--config", recipe, "--seeds", "1", "--test", "--data.root", tmp_path / "moved"]
    assert "seed 0   validation" in cli(*command)
    assert not (tmp_path / "gone").exists()


@pytest.mark.slow
def test_only_what_is_missing_is_run(cli: Run, recipe: Path) -> None:
    command = ["repeat", "--config", recipe, "--seeds", "2", "--processes", "2", "--test"]
    printed = cli(*command)
    assert "tiny: 2 seeds, 2 to run, 2 at a time" in printed
    for seed in (0, 1):
        assert re.search(
            rf"seed {seed}   validation .* %   test .* %   .* s   tensorboard_logs/tiny/version_\d", printed
        )
    assert "2 of 2 done" in printed
    assert re.search(r"^ ?tiny +2 +1,628 ", printed, flags=re.MULTILINE)
    runs = {read_results(run).seed: run for run in LOGS.glob("version_*")}
    assert sorted(runs) == [0, 1]
    kept, weights = (runs[0] / "fit.json").stat(), torch.load(runs[1] / "checkpoints/best.ckpt", weights_only=True)
    shutil.rmtree(runs[1])

    printed = cli(*command)
    assert "tiny: 2 seeds, 1 to run, 2 at a time" in printed
    assert (runs[0] / "fit.json").stat() == kept
    (again,) = (run for run in LOGS.glob("version_*") if run != runs[0])
    for name, value in torch.load(again / "checkpoints/best.ckpt", weights_only=True)["state_dict"].items():
        assert torch.equal(value, weights["state_dict"][name])

    assert "tiny: 2 seeds, 0 to run, 2 at a time" in cli(*command)


@pytest.mark.slow
def test_one_at_a_time_each_run_is_the_one_that_fit_makes_alone(cli: Run, recipe: Path) -> None:
    cli("repeat", "--config", recipe, "--seeds", "2")
    cli("fit", "--config", recipe, "--seed_everything", "1")
    repeated, alone = LOGS / "version_1", LOGS / "version_2"
    assert read_results(repeated).seed == read_results(alone).seed == 1
    assert raw_points(repeated) == raw_points(alone)
    assert_same_state(repeated, alone)


@pytest.mark.slow
def test_a_seed_that_fails_is_named_and_the_others_are_shown(cli: Run, recipe: Path, trained: Path) -> None:
    (trained / "checkpoints/last.ckpt").write_bytes(b"torn")
    (trained / "checkpoints/best.ckpt").write_bytes(b"torn")
    (trained / "fit.json").unlink()
    printed = cli("repeat", "--config", recipe, "--seeds", "2", exits=2)
    assert re.search(r"error: seed 0 failed: .*last\.ckpt is not a whole checkpoint file", printed)
    assert re.search(r"seed 1   validation", printed)


LONG = ["--seeds", "1", "--trainer.max_epochs", "30"]


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.slow
def test_an_interrupted_repetition_goes_on_where_it_stopped(cli: Run, recipe: Path, program: list[str]) -> None:
    long = ["--config", str(recipe), *LONG]
    process = subprocess.Popen([*program, "repeat", *long], stdout=subprocess.PIPE, text=True)
    run = LOGS / "version_0"
    wait_for(lambda: (progress := read_progress(run)) and progress.step, process)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on from here." in printed
    done = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert 0 < done < 300

    printed = cli("repeat", *long)
    assert [run.name for run in LOGS.glob("version_*")] == ["version_0"]
    assert read_results(run).fit["steps"] == 300
    assert "1 of 1 done" in printed


@pytest.mark.slow
def test_what_a_killed_repetition_has_started_ends_and_the_same_command_goes_on(
    cli: Run, recipe: Path, program: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    long = ["--config", str(recipe), *LONG]
    process = subprocess.Popen([*program, "repeat", *long], stdout=subprocess.DEVNULL, text=True)
    wait_for(lambda: read_progress(LOGS / "version_0"), process)
    process.kill()
    process.wait()
    progress = read_progress(LOGS / "version_0")
    assert progress is not None
    assert "1 of 1 done" in cli("repeat", *long)  # at once, while that process is still saving
    wait_for(lambda: not is_alive(progress.pid))
    assert [run.name for run in LOGS.glob("version_*")] == ["version_0"]
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.slow
def test_a_second_repetition_of_a_recipe_says_that_the_first_one_runs(
    cli: Run, recipe: Path, program: list[str]
) -> None:
    long = ["--config", str(recipe), *LONG]
    process = subprocess.Popen([*program, "repeat", *long], stdout=subprocess.DEVNULL, text=True)
    wait_for(lambda: read_progress(LOGS / "version_0"), process)
    printed = cli("repeat", *long, exits=2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert printed == (
        f"error: Another repeat of tiny runs, in {LOGS}. Wait for it or stop it; the same command then goes on.\n"
    )
    assert [run.name for run in LOGS.glob("version_*")] == ["version_0"]


@pytest.mark.slow
def test_a_seed_that_another_process_trains_is_waited_for(cli: Run, recipe: Path, program: list[str]) -> None:
    fit = ["fit", "--config", str(recipe), *LONG[2:]]
    process = subprocess.Popen([*program, *fit], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    wait_for(lambda: read_progress(LOGS / "version_0"), process)
    printed = cli("repeat", "--config", recipe, *LONG)
    assert f"seed 0   waits for process {process.pid}, which trains it in {LOGS}/version_0" in printed
    assert "seed 0   validation" in printed
    assert [run.name for run in LOGS.glob("version_*")] == ["version_0"]
    process.wait()


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_threads_that_are_not_those_of_a_fit_alone_are_said(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = len(os.sched_getaffinity(0))
    printed = cli("repeat", "--config", recipe, "--seeds", "1", "--processes", str(cores), "--trainer.max_epochs", "1")
    assert "Each takes 1 thread. A fit alone takes all, and its weights differ in the last bits" in printed
    progress = read_progress(LOGS / "version_0")
    assert progress is not None
    assert progress.threads == 1
    same = Repetition("tiny", read_config(LOGS / "version_0"), [], 1, test=False)
    with Children() as children:
        assert Runner(same, 1, children, Console()).threads is None  # as many as a fit alone
