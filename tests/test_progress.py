"""progress.json: how far a run is, and with how many threads."""

import json
import os
from pathlib import Path

import pytest

from fashion_lightning.runs.progress import Progress, read_progress, write_progress
from tests.conftest import Run
from tests.interruption import interrupt


def test_the_time_left_follows_the_progress_of_the_runs() -> None:
    run = Path("version_0")
    run.mkdir()
    assert read_progress(run) is None
    for progress, fraction in (
        (Progress(6, 8, 60, None, "training", 1, 1), 0.75),
        (Progress(1, None, 60, 120, "interrupted", 1, 1), 0.5),
        (Progress(9, 8, 60, None, "finished", 1, 1), 1),
        (Progress(3, None, 60, None, "training", 1, 1), 0),
    ):
        write_progress(run, progress)
        assert read_progress(run) == progress
        assert progress.fraction == fraction
    for damage in ("{", "[]", '{"epoch": 1}'):
        (run / "progress.json").write_text(damage)
        assert read_progress(run) is None
    assert [path.name for path in run.iterdir()] == ["progress.json"]


@pytest.mark.slow
def test_fit_says_in_its_folder_how_far_it_is(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, *interrupt("train", 1, 3), exits=130)
    run = Path("tensorboard_logs/tiny/version_0")
    assert read_progress(run) == Progress(1, 2, 14, None, "interrupted", os.getpid(), 1)
    cli("fit", "--ckpt_path", run, "--trainer.callbacks", "null")
    assert read_progress(run) == Progress(2, 2, 20, None, "finished", os.getpid(), 1)


@pytest.mark.slow
@pytest.mark.parametrize("threads_now", [None, "1"])
def test_a_run_goes_on_with_its_threads_or_says_that_it_does_not(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, threads_now: str | None
) -> None:
    text = (trained / "progress.json").read_text()
    (trained / "progress.json").write_text(text.replace('"threads": 1', '"threads": 2'))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads_now is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", threads_now)
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    assert ("The run began with 2 threads and goes on with 1 (OMP_NUM_THREADS" in printed) == bool(threads_now)
    progress = read_progress(trained)
    assert progress is not None
    assert progress.threads == (1 if threads_now else 2)


def test_no_file_starts_more_threads_than_the_machine_has_cores(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    progress = json.loads((trained / "progress.json").read_text())
    (trained / "progress.json").write_text(json.dumps({**progress, "threads": 10**6}))
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    assert "The run began with 1000000 threads and goes on with 1 (OMP_NUM_THREADS or the machine" in printed
