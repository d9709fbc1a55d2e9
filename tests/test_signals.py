"""Ctrl-C and SIGTERM at any instant: exit codes, no traceback, nothing lost; to a process and to its whole group."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import RUN, Run
from tests.interruption import wait_for

INT, TERM = signal.SIGINT, signal.SIGTERM


def signalled(command: list[str], send: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str]:
    """Run a command in a group of its own, let ``send`` signal it, and return exit code and output."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        send(process)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, printed


def check_end(code: int, printed: str) -> None:
    assert code in (0, 130, 143), printed
    for sign in ("Traceback", "Exception ignored", "error: "):
        assert sign not in printed, printed


@pytest.mark.slow
@pytest.mark.parametrize("signum", [INT, TERM])
def test_a_signal_to_the_whole_group_leaves_a_checkpoint_to_continue_from(
    cli: Run, recipe: Path, command_on_generated_data: list[str], signum: int
) -> None:
    fit = ["fit", "--config", str(recipe), "--trainer.max_epochs", "10000"]

    def send(process: subprocess.Popen[str]) -> None:
        wait_for((RUN / "checkpoints/best.ckpt").exists, process)
        os.killpg(process.pid, signum)

    code, printed = signalled([*command_on_generated_data, *fit], send)
    check_end(code, printed)
    assert code == 128 + signum
    assert "Interrupted. Continue with: fashion-lightning fit --ckpt_path" in printed
    done = torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    cli("fit", "--ckpt_path", RUN, "--trainer.max_steps", str(done + 3))
    assert torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)["global_step"] == done + 3


@pytest.mark.slow
def test_a_second_signal_ends_at_once_with_the_code_of_the_first(
    recipe: Path, command_on_generated_data: list[str]
) -> None:
    fit = ["fit", "--config", str(recipe), "--trainer.max_epochs", "10000"]

    def send(process: subprocess.Popen[str]) -> None:
        wait_for((RUN / "checkpoints/best.ckpt").exists, process)
        for signum in (INT, TERM, INT):
            process.send_signal(signum)
            time.sleep(0.002)

    code, printed = signalled([*command_on_generated_data, *fit], send)
    check_end(code, printed)
    assert code == 130


@pytest.mark.slow
def test_a_signal_after_the_report_changes_nothing(recipe: Path, command_on_generated_data: list[str]) -> None:
    script = Path(command_on_generated_data[1])
    late = "import atexit, os, signal\natexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
    script.write_text(late + script.read_text())
    code, printed = signalled([*command_on_generated_data, "fit", "--config", str(recipe)], lambda _: None)
    check_end(code, printed)
    assert code == 0
    assert "See its curves" in printed


def test_the_end_of_a_terminal_asks_a_process_to_end_unless_nohup_started_it() -> None:
    for handler, asks in (("SIG_DFL", True), ("SIG_IGN", False)):  # as nohup leaves it
        code = f"import signal; signal.signal(signal.SIGHUP, signal.{handler})"
        code += "; from fashion_lightning.runs.processes import SIGNALS; print(SIGNALS)"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
        assert ("SIGHUP" in told.stdout) == asks
