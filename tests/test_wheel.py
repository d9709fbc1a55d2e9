"""The wheel in an environment of its own, far from the checkout: what `pip install fashion-lightning` gives."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import fashion_lightning
from fashion_lightning.data import source
from tests.conftest import ROOT, command_with_hashes


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(tmp_path: Path, data: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    away = tmp_path / "away"
    away.mkdir()

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=away, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("fashion_lightning-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    (packages,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    # torch and the others are those of this environment. A folder in a .pth file brings no .pth files of its own into
    # effect, and so not the one that an editable install of the checkout has left there.
    (packages / "those_of_the_tests.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    (packages / "configs").mkdir()  # another package's
    (packages / "configs/quick.yaml").write_text("somebody: else's", encoding="utf-8")

    where = run(python, "-c", "import fashion_lightning; print(fashion_lightning.__file__)")
    assert Path(where.strip()).is_relative_to(packages)
    assert (packages / "fashion_lightning/py.typed").is_file()
    program = tmp_path / "venv/bin/fashion-lightning"
    assert run(program, "--version") == f"fashion-lightning {fashion_lightning.__version__}\n"
    script = command_with_hashes(tmp_path / "program.py", source.SHA256)[1]
    on_generated_data: list[str | Path] = [python, script, "fit"]
    small: list[str | Path] = ["--data.root", data, "--data.val_size", "100", "--data.batch_size", "8"]
    fit = [*on_generated_data, "--config", "quick", "--config", "presets/debug", *small]
    assert "parameters: 355,056" in run(*fit)
    assert (packages / "fashion_lightning/report/templates/page.html").is_file()
    assert (packages / "fashion_lightning/export/templates/network.js").is_file()
    assert list(away.iterdir()) == []
