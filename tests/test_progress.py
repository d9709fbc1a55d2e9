"""progress.json: how far a run is, and with how many threads."""

import os
from pathlib import Path

import pytest

from fashion_lightning.runs.progress import Progress, read_progress, write_progress
from tests.conftest import RUN, Run
from tests.interruption import interrupt


def test_progress_is_read_as_it_was_written_or_not_at_all() -> None:
    run = Path("version_0")
    run.mkdir()
    assert read_progress(run) is None
    for progress in (Progress(6, 8, 60, "training", 1, 1), Progress(3, None, 60, "diverged", 1, 1)):
        write_progress(run, progress)
        assert read_progress(run) == progress
    for damage in ("{", "[]", '{"epoch": 1}'):
        (run / "progress.json").write_text(damage)
        assert read_progress(run) is None
    assert [path.name for path in run.iterdir()] == ["progress.json"]


@pytest.mark.slow
def test_fit_says_in_its_folder_how_far_it_is(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, *interrupt("train", 1, 3), exits=130)
    assert read_progress(RUN) == Progress(1, 2, 14, "interrupted", os.getpid(), 1)
    cli("fit", "--ckpt_path", RUN, "--trainer.callbacks", "null")
    assert read_progress(RUN) == Progress(2, 2, 20, "finished", os.getpid(), 1)


@pytest.mark.parametrize(
    ("began", "asked", "goes_on"),
    [
        (10**6, None, 1),
        pytest.param(2, None, 2, marks=pytest.mark.slow),
        pytest.param(2, "1", 1, marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_with_its_threads_or_says_that_it_does_not(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, began: int, asked: str | None, goes_on: int
) -> None:
    text = (trained / "progress.json").read_text()
    (trained / "progress.json").write_text(text.replace('"threads": 1', f'"threads": {began}'))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    printed = cli("fit", "--ckpt_path", trained, "--trainer.max_epochs", "3")
    said = f"The run began with {began} threads and goes on with {goes_on} (OMP_NUM_THREADS or the machine"
    assert (said in printed) == (began != goes_on)
    progress = read_progress(trained)
    assert progress is not None
    assert progress.threads == goes_on
