"""``fashion_lightning.fit``: training from a notebook, which is left as it was."""

import json
import os
import random
import re
import signal
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
from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import read_checkpoint
from tests.conftest import RUN
from tests.interruption import assert_same_state

pytestmark = pytest.mark.usefixtures("on_generated_data")


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
    assert "epoch 2/2" in printed
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
        with pytest.raises(KeyboardInterrupt, match=r"fit\(ckpt_path='tensorboard_logs/tiny/version_0'\) goes on"):
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
        Path("a b.yaml"), epochs=3, lr=1e-5, model__network__init_args={"widths": [4, 8]}, pictures=False, name="ä|1"
    )
    assert run == Path("x")
    network = '--model.network.init_args={"widths": [4, 8]}'
    assert lines[1] == f"fit|--config=a b.yaml|--epochs=3|--lr=1e-05|{network}|--pictures=false|--name=ä|1\n"


def test_a_class_is_refused_before_anything_starts() -> None:
    with pytest.raises(UserError, match=r"model\.network must be plain: .* not type\. A class goes by its import path"):
        fashion_lightning.fit("quick", model__network=fashion_lightning.CNN)


def test_a_fit_that_saves_nothing_has_no_run_to_return(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "saves_nothing.py"
    script.write_text("print('Run folder: none, nothing is saved (fast_dev_run)   precision: 32-true')")
    monkeypatch.setattr(from_python, "PROGRAM", (sys.executable, str(script)))
    with pytest.raises(UserError, match="This fit saves nothing"):
        fashion_lightning.fit("presets/debug")
