"""Tab in bash, zsh and fish: commands, recipes, runs and settings, as the program itself knows them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def installed(folder: Path) -> Path:
    """The command as a program for a shell's PATH."""
    program = folder / "bin/fashion-lightning"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fashion_lightning "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_recipes_runs_and_settings(tmp_path: Path) -> None:
    run = tmp_path / "tensorboard_logs/quick/version_0"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"run": "a", "origin": {"name": "quiet try"}}', encoding="utf-8")
    program = installed(tmp_path)
    cases = [
        (["va"], ["validate"]),
        (["fit", "--config", "qu"], ["quick"]),
        (["fit", "--config", "=", "qu"], ["quick"]),
        (["fit", "--config", "seeds/two"], ["seeds/two_conv_cnn", "seeds/two_conv_cnn_batch_norm"]),
        (["test", "--ckpt_path", "qui"], ["quick", r"quiet\ try", "quick/version_0"]),
        (["test", "--ckpt_path", "tens"], ["tensorboard_logs/quick/version_0"]),
        (["fit", "--ep"], ["--epochs"]),
        (["test", "--ep"], []),
        (["fit", "--optimizer", "adamw"], ["adamw"]),
        (["fit", "--flip", ""], ["alternating", "none", "random"]),
        (["compare", "qui"], ["quick", r"quiet\ try", "quick/version_0"]),
        (["completion", "z"], ["zsh"]),
        (["predict", "--output", "x"], []),
    ]
    lines = ['eval "$(fashion-lightning completion bash)"']
    for words, _ in cases:
        typed = " ".join(f'"{word}"' for word in ["fashion-lightning", *words])
        lines.append(f'COMP_WORDS=({typed}) COMP_CWORD={len(words)}; _fashion_lightning; echo "${{COMPREPLY[*]@Q}}"')
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env={"PATH": f"{program.parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""
    answers = [re.findall(r"'([^']*)'", line) for line in done.stdout.splitlines()]
    assert answers == [found for _, found in cases]
