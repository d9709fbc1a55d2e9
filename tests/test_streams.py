"""Standard streams, environment and memory of real processes: whatever they are, no traceback and no lost run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "fashion_lightning"]

RUN = Path("tensorboard_logs/tiny/version_0")


def shell(
    command: str, program: list[str] = PROGRAM, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which FL stands for the program; exit codes of a pipe are those of its first part."""
    line = f"set -o pipefail; {command.replace('FL', ' '.join(program))}"
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env={**os.environ, **(environment or {})}, timeout=120
    )


@pytest.mark.parametrize("command", ["FL --help | true", "FL --help | head -1", "FL compare --help | true"])
def test_a_reader_that_leaves_is_no_error(command: str) -> None:
    done = shell(command)
    assert (done.returncode, done.stderr) == (0, "")


def test_output_that_is_lost_otherwise_is_an_error() -> None:
    done = shell("FL --version > /dev/full")
    assert done.returncode == 2
    assert done.stderr == "error: A part of what was printed could not be written (No space left on device).\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_error(closed: str) -> None:
    assert shell(f"FL --version {closed}").returncode == 0
    assert shell(f"FL compare nowhere {closed}").returncode == 2


CLOSED_FROM_THE_START = """
import os
from fashion_lightning.cli.streams import prepare_process

prepare_process()
first = os.open("own-file", os.O_CREAT | os.O_WRONLY)
os.write(1, b"lost"), os.write(2, b"lost")
assert first > 2, first
"""


def test_no_file_of_ours_takes_the_place_of_a_closed_stream() -> None:
    Path("program.py").write_text(CLOSED_FROM_THE_START)
    assert shell("FL <&- >&- 2>&-", [sys.executable, "program.py"]).returncode == 0
    assert Path("own-file").read_bytes() == b""


def test_characters_that_the_terminal_lacks_are_written_in_ascii() -> None:
    code = "from fashion_lightning.cli.streams import prepare_process as p; p(); print('93 ± 1 × 2 … é \\udcff')"
    Path("program.py").write_text(code)
    done = shell("FL", [sys.executable, "program.py"], {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "93 +- 1 x 2 ... \\xe9 \\udcff\n")


@pytest.mark.parametrize(("name", "value"), [("LOCAL_RANK", "abc"), ("RANK", "-1"), ("WORLD_SIZE", "")])
def test_a_rank_that_is_no_number_is_one_line(name: str, value: str) -> None:
    done = shell("FL fit", environment={name: value})
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: The environment variable {name} must be a whole number, not {value!r}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kilobytes", [400_000, 1_000_000, 2_000_000, 4_000_000])
def test_too_little_memory_to_load_torch_is_one_line(kilobytes: int) -> None:
    done = shell(f"ulimit -v {kilobytes}; FL fit")
    assert done.returncode == 2
    assert "Raise the limit" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "environment"),
    [
        ("FL fit --config tiny.yaml | head -1", {}),
        ("FL fit --config tiny.yaml 2>&1 | true", {}),
        ("FL fit --config tiny.yaml >&-", {}),
        ("FL fit --config tiny.yaml 2>&-", {}),
        ("FL fit --config tiny.yaml <&- >&- 2>&-", {}),
        ("FL fit --config tiny.yaml", {"PYTHONWARNINGS": "error"}),
        ("FL fit --config tiny.yaml", {"PYTHONIOENCODING": "ascii"}),
        ("FL fit --config tiny.yaml", {"LC_ALL": "C", "PYTHONUTF8": "0"}),
    ],
)
def test_training_goes_on_whatever_the_streams_are(
    recipe: Path, command_on_generated_data: list[str], line: str, environment: dict[str, str]
) -> None:
    assert recipe.is_file()
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
    assert "error: RANK, LOCAL_RANK, NODE_RANK or SLURM_PROCID in the environment says that" in done.stderr
    assert not RUN.exists()


TOO_LITTLE_LATER = """
from fashion_lightning.callbacks.reseed import ReseedEachStep

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
    assert "error: There is not enough memory. Make something smaller: data.batch_size" in done.stderr
    assert "Traceback" not in done.stderr
