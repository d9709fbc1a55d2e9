"""Some of the cases of ``python -m tests.fuzz_checkpoints``, in a process of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


CASES = 3000


@pytest.mark.slow
def test_a_changed_checkpoint_does_nothing_but_load_or_be_refused() -> None:
    fuzz = [sys.executable, "-m", "tests.fuzz_checkpoints", "--cases", str(CASES), "--commands", "60", "--seed", "1"]
    done = subprocess.run(fuzz, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    table = re.findall(r"^ *([\d,]+)  (\w+ \w+)$", done.stdout, flags=re.MULTILINE)
    counts = {what: int(times.replace(",", "")) for times, what in table}
    assert counts["load taken"] + counts["load refused"] >= CASES
    assert counts["load taken"] > CASES / 5
