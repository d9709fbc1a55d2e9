"""Fits in processes of their own: one recipe with several seeds, and ``fashion_lightning.fit`` in a notebook."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fashion_lightning
from fashion_lightning import from_python
from fashion_lightning.cli.many_fits import fit_settings
from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import read_checkpoint
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import read_config, read_results
from fashion_lightning.sweeps.fits import Repetition, fit_command
from tests.conftest import RUN, Run
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
def test_folds_are_runs_of_one_recipe_that_are_validated_on_different_images(cli: Run, recipe: Path) -> None:
    command = ["repeat", "--config", recipe, "--folds", "2", "--epochs", "1"]
    printed = cli(*command)
    assert "Folds of tiny: 2, 1 at a time" in printed
    assert re.search(r"fold 2/2   validation .* 2 of 2 done", printed)
    assert re.search(r"^ ?tiny +2 +1,628 ", printed, flags=re.MULTILINE)
    cli(*command)
    assert [read_config(run)["data"]["fold"] for run in sorted(LOGS.glob("version_*"))] == ["1/2", "2/2"]
    cli("fit", "--config", recipe, "--epochs", "1", "--fold", "2/2", "--seed", "0")
    assert re.search(r"^ ?tiny +3 +1,628 ", cli("compare", "tiny"), flags=re.MULTILINE)  # one seed on two folds


@pytest.mark.slow
def test_a_seed_that_fails_is_named_and_the_others_are_shown(cli: Run, recipe: Path, trained: Path) -> None:
    for name in ("last", "best"):
        (trained / f"checkpoints/{name}.ckpt").write_bytes(b"torn")
    (trained / "fit.json").unlink()
    printed = cli("repeat", "--config", recipe, "--seeds", "2", exits=2)
    assert re.search(r"error: seed 0: .*\.ckpt .*it is not a whole checkpoint file", printed)
    assert re.search(r"seed 1   validation", printed)


@pytest.mark.slow
def test_an_interrupted_repetition_goes_on_where_it_stopped(
    cli: Run, recipe: Path, command_on_generated_data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    long, run = ["repeat", "--config", str(recipe), *LONG], LOGS / "version_0"
    process = subprocess.Popen([*command_on_generated_data, *long], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: (progress := read_progress(run)) and progress.step, process)
    assert cli(*long, exits=2) == (
        f"error: Another repeat of tiny is running, in {LOGS}. Wait for it or stop it; then try again.\n"
    )
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command continues from here." in printed
    steps = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert 0 < steps < 300

    assert "1 of 1 done" in cli(*long)
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
        "Each fit uses OMP_NUM_THREADS=1. A single fit uses all threads, so its weights would differ in the last bits"
        in printed
    )
    assert '"threads": 1' in (LOGS / "version_0/progress.json").read_text()


def state_of_this_process() -> list[Any]:
    return [
        random.getstate(),
        str(np.random.get_state()),
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        dict(os.environ),
        list(warnings.filters),
        [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)],
        threading.excepthook,
        Path.cwd(),
    ]


@pytest.mark.slow
def test_it_trains_as_the_command_does_to_the_bit_and_leaves_this_process_as_it_was(
    trained: Path, recipe: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    before = state_of_this_process()
    run = fashion_lightning.fit(recipe, layers=True)
    assert state_of_this_process() == before
    assert run == trained.with_name("version_1")
    assert_same_state(run, trained)
    printed = capfd.readouterr().out
    assert printed.startswith(f"Run folder: {run}   precision: ")
    assert fashion_lightning.fit(ckpt_path=run) == run  # nothing is left to do, which is said
    assert "has finished its 2 epochs; nothing was changed" in capfd.readouterr().out
    assert fashion_lightning.classify(run, np.zeros((28, 28))).probabilities.shape == (1, 10)


@pytest.mark.slow
def test_interrupting_it_ends_it_after_a_step_and_leaves_a_run_that_goes_on(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def print_and_interrupt(line: str, **_: Any) -> None:
        lines.append(line)
        if re.match(r"epoch +1/", line):
            os.kill(os.getpid(), signal.SIGINT)

    lines: list[str] = []
    monkeypatch.setattr(from_python, "print", print_and_interrupt, raising=False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in the background
    try:
        with pytest.raises(KeyboardInterrupt, match=r"fit\(ckpt_path='tensorboard_logs/tiny/version_0'\) continues"):
            fashion_lightning.fit(recipe, epochs=300)
    finally:
        signal.signal(signal.SIGINT, before)
    assert lines[-1].startswith("Interrupted. Continue with")
    assert not (RUN / "fit.json").exists()
    epochs = read_checkpoint(RUN / "checkpoints/last.ckpt").epochs_done + 1
    assert fashion_lightning.fit(ckpt_path=RUN, epochs=epochs) == RUN
    assert json.loads((RUN / "fit.json").read_text())["epochs"] == epochs


@pytest.mark.slow
def test_a_setting_that_cannot_be_used_is_an_error_of_one_line(recipe: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean --data\.batch_size"):
        fashion_lightning.fit(recipe, **{"data.batch_sise": 3})
    assert not Path("tensorboard_logs").exists()


def test_settings_are_typed_as_a_command_takes_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "shows.py"
    script.write_text("import sys; print('Run folder: x   precision: '); print(*sys.argv[1:], sep='|')")
    monkeypatch.setattr(from_python, "PROGRAM", (sys.executable, str(script)))
    lines: list[str] = []
    monkeypatch.setattr(from_python, "print", lambda line, **_: lines.append(line), raising=False)
    run = fashion_lightning.fit(
        Path("a b.yaml"),
        epochs=3,
        lr=1e-5,
        model__network__init_args={"widths": [4, 8]},
        pictures=False,
        name="ä|1",
        note=None,
        data__root=None,
    )
    assert run == Path("x")
    network = '--model.network.init_args={"widths": [4, 8]}'
    assert (
        lines[1]
        == f"fit|--config=a b.yaml|--epochs=3|--lr=1e-05|{network}|--pictures=false|--name=ä|1|--data.root=null\n"
    )


def test_a_class_is_refused_before_anything_starts() -> None:
    with pytest.raises(UserError, match=r"model\.network must be plain: .* not type\. Name a class by its import path"):
        fashion_lightning.fit("quick", model__network=fashion_lightning.CNN)


def test_a_fit_that_saves_nothing_has_no_run_to_return(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "saves_nothing.py"
    script.write_text("print('Run folder: none, nothing is saved (fast_dev_run)   precision: 32-true')")
    monkeypatch.setattr(from_python, "PROGRAM", (sys.executable, str(script)))
    with pytest.raises(UserError, match="This fit saves nothing"):
        fashion_lightning.fit("presets/debug")
