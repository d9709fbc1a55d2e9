"""Several devices: two processes on this machine's CPU."""

import csv
import json
import subprocess
from pathlib import Path

import pytest


@pytest.mark.slow
def test_two_processes_share_one_run_folder_and_count_every_image_once(
    recipe: Path, command_on_generated_data: list[str]
) -> None:
    def run(*args: str | Path) -> str:
        command = [
            *command_on_generated_data,
            *map(str, args),
            "--trainer.accelerator",
            "cpu",
            "--trainer.devices",
            "2",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = run("fit", "--config", recipe)
    folder = Path("tensorboard_logs/tiny/version_0")
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]
    assert printed.count("Best checkpoint") == 1
    assert json.loads((folder / "fit.json").read_text())["steps"] == 10  # half as many, of twice the images

    run("test", "--ckpt_path", folder)
    assert json.loads((folder / "test_best.json").read_text())["images"] == 100
    assert "100 predictions" in run("predict", "--ckpt_path", folder)
    rows = list(csv.reader((folder / "predictions.csv").read_text().splitlines()))
    assert [row[0] for row in rows[1:]] == [str(index) for index in range(100)]
