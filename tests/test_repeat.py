"""One recipe with several seeds: real processes, each a run of its own."""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from fashion_lightning.cli import repeat
from fashion_lightning.runs.results import read_results
from tests.conftest import Run

LOGS = Path("tensorboard_logs/tiny")


@pytest.fixture(autouse=True)
def on_generated_data(monkeypatch: pytest.MonkeyPatch, command_on_generated_data: list[str]) -> None:
    monkeypatch.setattr(repeat, "PROGRAM", tuple(command_on_generated_data))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--seeds", "0"], "--seeds and --processes must be at least 1."),
        (["--processes", "0"], "--seeds and --processes must be at least 1."),
        (["--seeds", "many"], "argument --seeds: invalid int value: 'many'"),
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


@pytest.mark.slow
def test_a_finished_run_of_another_recipe_or_seed_is_not_taken_for_this_one(
    recipe: Path, trained: Path, tmp_path: Path
) -> None:
    same = repeat.Repetition(["--config", str(recipe)], 2, test=False, scratch=tmp_path)
    assert [job.run_dir for job in same.jobs] == [trained, None]
    other = repeat.Repetition(["--config", str(recipe), "--data.shift", "2"], 1, test=False, scratch=tmp_path)
    assert [job.run_dir for job in other.jobs] == [None]
    assert same.next_command(same.jobs[0]) is None
    assert same.next_command(same.jobs[1]) == ["fit", "--config", str(recipe), "--seed_everything", "1"]
    tested = repeat.Repetition(["--config", str(recipe)], 1, test=True, scratch=tmp_path)
    assert tested.next_command(tested.jobs[0]) == ["test", "--ckpt_path", str(trained), "--model.tta", "flip"]
    (trained / "fit.json").write_text("{")
    assert same.next_command(same.jobs[0]) == ["fit", "--ckpt_path", str(trained)]
    (trained / "fit.json").unlink()
    assert same.next_command(same.jobs[0]) == ["fit", "--ckpt_path", str(trained)]
    (trained.parent / "version_9").mkdir()
    (trained.parent / "version_9/config.yaml").write_text("model: {}")  # somebody else's
    assert repeat.Repetition(["--config", str(recipe)], 1, test=False, scratch=tmp_path).jobs[0].run_dir == trained


def test_the_time_left_follows_the_epochs(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("Epoch 4: 100%|███| 9/9\nEpoch 5: 100%|███| 9/9\rEpoch 6:  33%|█  | 3/9")
    job = repeat.Job(0, log, None)
    job.follow(max_epochs=8)
    assert (job.already, job.progress) == (0.5, 0.75)


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
    runs = {read_results(run).seed: run for run in LOGS.iterdir()}
    assert sorted(runs) == [0, 1]
    kept, weights = (runs[0] / "fit.json").stat(), torch.load(runs[1] / "checkpoints/best.ckpt", weights_only=True)
    shutil.rmtree(runs[1])

    printed = cli(*command)
    assert "tiny: 2 seeds, 1 to run, 2 at a time" in printed
    assert (runs[0] / "fit.json").stat() == kept
    (again,) = (run for run in LOGS.iterdir() if run != runs[0])
    for name, value in torch.load(again / "checkpoints/best.ckpt", weights_only=True)["state_dict"].items():
        assert torch.equal(value, weights["state_dict"][name])

    assert "tiny: 2 seeds, 0 to run, 2 at a time" in cli(*command)


@pytest.mark.slow
def test_a_seed_that_fails_is_named_and_the_others_are_shown(cli: Run, recipe: Path, trained: Path) -> None:
    (trained / "checkpoints/last.ckpt").write_bytes(b"torn")
    (trained / "checkpoints/best.ckpt").write_bytes(b"torn")
    (trained / "fit.json").unlink()
    printed = cli("repeat", "--config", recipe, "--seeds", "2", exits=2)
    assert re.search(r"error: seed 0 failed: .*last\.ckpt is not a whole checkpoint file", printed)
    assert re.search(r"seed 1   validation", printed)


@pytest.mark.slow
def test_an_interrupted_repetition_goes_on_where_it_stopped(
    cli: Run, recipe: Path, command_on_generated_data: list[str]
) -> None:
    program = Path(command_on_generated_data[1])
    program.write_text(program.read_text().replace("main()", f"repeat.PROGRAM = {command_on_generated_data}\nmain()"))
    program.write_text("from fashion_lightning import repeat\n" + program.read_text())
    long = ["--config", str(recipe), "--seeds", "1", "--trainer.max_epochs", "40"]
    process = subprocess.Popen([*command_on_generated_data, "repeat", *long], stdout=subprocess.PIPE, text=True)
    last = LOGS / "version_0/checkpoints/last.ckpt"
    while not last.exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on from here." in printed
    done = torch.load(last, weights_only=True)["global_step"]
    assert 0 < done < 400

    printed = cli("repeat", *long)
    assert [run.name for run in LOGS.iterdir()] == ["version_0"]
    assert read_results(LOGS / "version_0").fit["steps"] == 400
    assert "1 of 1 done" in printed
