"""Opens changed checkpoints without end, and watches what happens.

    python -m tests.fuzz_checkpoints --cases 100000 --seed 0 --commands 50

Each is read, and its network built, as Python does it; of one in so many, each command is run as well. Nothing outside
the list may be imported, executed, written or begun; nothing may take long; a command ends with 0, or with 2 and one
line.
"""

import argparse
import contextlib
import encodings.cp437  # noqa: F401 - zipfile's, for names that are not marked as UTF-8: it would be imported late
import io
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

import fashion_lightning
from fashion_lightning.cli import main
from fashion_lightning.data import source
from fashion_lightning.errors import UserError
from tests.audit import Audit
from tests.conftest import TINY_RECIPE, write_generated_data
from tests.hostile import hostile_files

SECONDS = 20.0
"""The most that one case may take on a busy machine."""

MEGABYTES = 2500
"""The most that the process may hold."""

COMMANDS: dict[str, list[str]] = {
    "test": [],
    "validate": [],
    "predict": [],
    "fit": ["--trainer.max_steps=18", "--trainer.min_epochs=null", "--trainer.min_steps=null"],
}


class Harm(AssertionError):
    """A case did what no checkpoint may."""


def watched(what: str, act: Callable[[], Any], logs: Path) -> Any:
    """Do something with a checkpoint, and refuse what it should not have done."""
    began = time.monotonic()
    with Audit() as audit:
        result = act()
    harm = audit.imported | audit.executed | audit.begun | {str(path) for path in audit.outside(logs)}
    if harm:
        raise Harm(f"{what}: {sorted(harm)[:5]}")
    if time.monotonic() - began > SECONDS:
        raise Harm(f"{what} took {time.monotonic() - began:.0f} s")
    if peak_megabytes() > MEGABYTES:
        raise Harm(f"{what}: more than {MEGABYTES} MB")
    return result


def peak_megabytes() -> float:
    """The most that this process has held; ``ru_maxrss`` would begin with what the process that started it held."""
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) / 1024


def load(path: Path) -> str:
    """``taken``, or why not, in a word."""
    try:
        fashion_lightning.load(path)
    except UserError as error:
        return "refused" if str(error).isprintable() or "\n" in str(error) else "refused, with what a terminal obeys"
    return "taken"


def command(name: str, path: Path) -> tuple[int, str]:
    """Exit code and output of a command in this process."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main([name, "--ckpt_path", str(path), *COMMANDS[name], "--trainer.enable_progress_bar=false"])
        except SystemExit as stop:
            return int(stop.code or 0), printed.getvalue()
    return 0, printed.getvalue()


def check(name: str, path: Path, places: Path) -> str:
    """Run a command on a case; what came of it."""
    code, printed = watched(name, lambda: command(name, path), places)
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    if code not in (0, 2) or len(errors) != (code == 2) or "Traceback" in printed or "\x1b" in printed:
        raise Harm(f"{name} ended with {code}: {printed[-1500:]}")
    if os.environ.get("SHOW"):
        print(name, code, *errors, file=sys.__stderr__)
    return f"{name} {'done' if code == 0 else 'refused'}"


def fuzz(original: Path, cases: int, number: int, one_in: int) -> Counter[str]:
    """Try so many changed copies of a checkpoint, in the working folder.

    Args:
        original: a checkpoint whose run folder is elsewhere.
        cases: how many.
        number: seed of the changes.
        one_in: one in so many is given to the commands as well.

    Returns:
        How often each thing happened.

    Raises:
        Harm: at the first case that did what no checkpoint may; it stays in ``hostile.ckpt``.
    """
    seen: Counter[str] = Counter()
    places, case = original.parent, original.with_name("case.ckpt")
    for name in (*COMMANDS, *COMMANDS):  # what a good one imports is imported now
        code, printed = command(name, original)
        assert code == 0, printed
    original.with_name("torn.ckpt").write_bytes(original.read_bytes()[:99])
    assert (load(original), load(original.with_name("torn.ckpt"))) == ("taken", "refused")

    @seed(number)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile_files(original))
    def try_one(content: bytes) -> None:
        case.write_bytes(content)
        outcome = watched("load", lambda: load(case), places)
        seen[f"load {outcome}"] += 1
        assert outcome in ("taken", "refused"), outcome
        if sum(count for what, count in seen.items() if what.startswith("load")) % one_in == 0:
            for name in COMMANDS:
                seen[check(name, case, places)] += 1

    try_one()
    return seen


def prepare(folder: Path) -> Path:
    """A working folder with generated data and a checkpoint of version 0.1's recipe, trained here."""
    source.SHA256.update(write_generated_data(folder / "data"))
    mock.patch("fashion_lightning.runs.origin.git_state", return_value={}).start()  # a process no checkpoint begins
    os.chdir(folder)
    torch.set_num_threads(1)
    Path("tiny.yaml").write_text(TINY_RECIPE)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(["fit", "--config", "tiny.yaml", "--trainer.max_steps", "15"])
    return Path("tensorboard_logs/tiny/version_0/checkpoints/last.ckpt").absolute().rename(folder / "original.ckpt")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", type=int, default=50, help="one case in so many goes to the commands")
    given_options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        counts = fuzz(prepare(Path(scratch)), given_options.cases, given_options.seed, given_options.commands)
    for what, times in sorted(counts.items()):
        print(f"{times:8,}  {what}")
    sys.exit(0)
