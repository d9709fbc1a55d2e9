"""Streams, memory and signals of real processes: whatever they are, no traceback and no lost run."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fashion_lightning.cli.process import is_out_of_memory
from tests.conftest import RUN, Run
from tests.interruption import wait_for

PROGRAM = [sys.executable, "-m", "fashion_lightning"]


def shell(
    command: str, program: list[str] = PROGRAM, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which FL stands for the program; a pipe fails if any of its parts fails."""
    line = f"set -o pipefail; {command.replace('FL', ' '.join(program))}"
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env={**os.environ, **(environment or {})}, timeout=120
    )


@pytest.mark.parametrize("command", ["FL --help | true", "FL --help | head -1", "FL compare --help | true"])
def test_a_reader_that_leaves_is_no_error(command: str) -> None:
    done = shell(command)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_while_python_reads_the_modules_is_no_traceback() -> None:
    code = (
        "import runpy, sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'fashion_lightning.cli.commands': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "runpy.run_module('fashion_lightning', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_characters_that_the_terminal_lacks_are_escaped() -> None:
    code = "from fashion_lightning.cli.process import never_fail_to_print as p; p(); print('93 ± 1 \\udcff')"
    Path("program.py").write_text(code)
    done = shell("FL", [sys.executable, "program.py"], {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "93 \\xb1 1 \\udcff\n")


@pytest.mark.slow
@pytest.mark.usefixtures("recipe")
@pytest.mark.parametrize(
    ("line", "environment"),
    [
        ("FL fit --config tiny.yaml | head -1", {}),
        ("FL fit --config tiny.yaml <&- >&- 2>&-", {}),
        ("FL fit --config tiny.yaml", {"PYTHONWARNINGS": "error"}),
    ],
)
def test_training_goes_on_whatever_the_streams_are(
    command_on_generated_data: list[str], line: str, environment: dict[str, str]
) -> None:
    done = shell(line, command_on_generated_data, environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (RUN / "fit.json").is_file()


@pytest.mark.slow
def test_a_process_that_no_first_one_has_started_is_one_line(
    recipe: Path, command_on_generated_data: list[str]
) -> None:
    done = shell(f"FL fit --config {recipe}", command_on_generated_data, {"RANK": "1"})
    assert done.returncode == 2
    assert "error: A launcher has started several processes (see RANK, " in done.stderr
    assert not RUN.exists()


TOO_LITTLE_LATER = """
from fashion_lightning.callbacks.exact_resume import ReseedEachStep

def limit(*_):
    import torch
    torch.empty(2**50)

ReseedEachStep.on_train_batch_start = limit
"""


@pytest.mark.slow
def test_memory_that_runs_out_in_training_is_one_line(recipe: Path, command_on_generated_data: list[str]) -> None:
    script = Path(command_on_generated_data[1])
    script.write_text(TOO_LITTLE_LATER + script.read_text())
    done = shell(f"FL fit --config {recipe}", command_on_generated_data)
    assert done.returncode == 2
    assert "error: There is not enough memory. Use a smaller data.batch_size" in done.stderr
    assert "Traceback" not in done.stderr


STEPS = """
import resource
import torch
from fashion_lightning.cli.process import keep_freed_memory

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        activations = [torch.ones(12_000_000) for _ in range(3)]  # 48 MB each: above what glibc ever keeps
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if {keep}:
    keep_freed_memory()
for _ in range(8):  # where the blocks lie at first is chance: the heap has settled after two or three
    faults = page_faults()
print(faults)
"""


def page_faults(keep: bool) -> int:
    done = subprocess.run([sys.executable, "-c", STEPS.format(keep=keep)], capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
def test_steps_that_need_the_same_memory_do_not_fault_it_in_anew() -> None:
    pages_of_a_block = 48_000_000 // resource.getpagesize()
    assert page_faults(keep=True) < pages_of_a_block
    assert page_faults(keep=False) > 10 * pages_of_a_block


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GB"), True),
        (ImportError("No module named 'nowhere'"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_memory_that_has_run_out_is_known_by_what_the_libraries_raise(error: Exception, expected: bool) -> None:
    wrapped = ValueError("by a library")
    wrapped.__cause__ = error
    assert (is_out_of_memory(error), is_out_of_memory(wrapped)) == (expected, expected)


def signalled(command: list[str], send: Callable[[subprocess.Popen[str]], None], code: int) -> str:
    """Run a fit in a group of its own, let ``send`` signal it after an epoch, and return what it printed."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        wait_for((RUN / "checkpoints/best.ckpt").exists, process)
        send(process)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, printed
    for sign in ("Traceback", "Exception ignored", "error: "):
        assert sign not in printed, printed
    return printed


@pytest.mark.slow
def test_a_signal_to_the_whole_group_leaves_a_checkpoint_to_continue_from(
    cli: Run, recipe: Path, command_on_generated_data: list[str]
) -> None:
    fit = ["fit", "--config", str(recipe), "--trainer.max_epochs", "10000"]
    printed = signalled(
        [*command_on_generated_data, *fit], lambda process: os.killpg(process.pid, signal.SIGTERM), code=143
    )
    assert "Interrupted. Continue with: fashion-lightning fit --ckpt_path" in printed
    done = torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    cli("fit", "--ckpt_path", RUN, "--trainer.max_steps", str(done + 3))
    assert torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)["global_step"] == done + 3


@pytest.mark.slow
def test_a_second_signal_ends_at_once_with_the_code_of_the_first(
    recipe: Path, command_on_generated_data: list[str]
) -> None:
    def send(process: subprocess.Popen[str]) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            process.send_signal(signum)
            time.sleep(0.002)

    fit = ["fit", "--config", str(recipe), "--trainer.max_epochs", "10000"]
    signalled([*command_on_generated_data, *fit], send, code=130)


@pytest.mark.slow
def test_a_signal_after_the_report_changes_nothing(recipe: Path, command_on_generated_data: list[str]) -> None:
    script = Path(command_on_generated_data[1])
    late = "import atexit, os, signal\natexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
    script.write_text(late + script.read_text())
    fit = ["fit", "--config", str(recipe)]
    assert "See its curves" in signalled([*command_on_generated_data, *fit], lambda _: None, code=0)


def test_the_end_of_a_terminal_asks_a_process_to_end_unless_nohup_started_it() -> None:
    for handler, asks in (("SIG_DFL", True), ("SIG_IGN", False)):  # as nohup leaves it
        code = f"import signal; signal.signal(signal.SIGHUP, signal.{handler})"
        code += "; from fashion_lightning.runs.processes import SIGNALS; print(SIGNALS)"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
        assert ("SIGHUP" in told.stdout) == asks
