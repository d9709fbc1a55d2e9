"""Tab in bash, zsh and fish: commands, options, recipes and classes."""

import shutil
import subprocess

import pytest

from tests.conftest import Run

CASES = [
    (["va"], ["validate"]),
    (["fit", "--config", "qu"], ["quick"]),
    (["fit", "--config", "seeds/two"], ["seeds/two_conv_cnn", "seeds/two_conv_cnn_batch_norm"]),
    (["fit", "--ep"], ["--epochs"]),
    (["test", "--ep"], []),
    (["fit", "--optimizer", "adamw"], ["adamw"]),
    (["fit", "--flip", ""], ["alternating", "none", "random"]),
    (["completion", "z"], ["zsh"]),
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_recipes_classes_and_settings(cli: Run) -> None:
    lines = [cli("completion", "bash")]
    for words, _ in CASES:
        typed = " ".join(f'"{word}"' for word in ["fashion-lightning", *words])
        lines.append(f"COMP_WORDS=({typed}) COMP_CWORD={len(words)}; COMPREPLY=(); _shtab_fashion_lightning")
        lines.append('echo "${COMPREPLY[*]}"')
    done = subprocess.run(["bash", "--norc"], input="\n".join(lines), capture_output=True, encoding="utf-8")
    assert done.stderr == ""
    assert [sorted(line.split()) for line in done.stdout.splitlines()] == [found for _, found in CASES]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_of_every_command(cli: Run, shell: str) -> None:
    script = cli("completion", shell)
    assert "predict" in script
    assert "seeds/three_dense" in script
