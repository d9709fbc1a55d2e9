"""A search over settings: real processes, each trial a run of its own."""

import csv
import re
import subprocess
from pathlib import Path

import pytest

from fashion_lightning.cli.many_fits import fit_settings
from fashion_lightning.runs.results import read_config, read_results, recipe_settings
from tests.conftest import Run
from tests.interruption import wait_for
from tests.sweep_kills import RECIPE

SWEEP = Path("tensorboard_logs/tiny_sweep")
SPACE = "{lr: {low: 3e-4, high: 0.1, log: true}, data.batch_size: {choices: [50, 100]}}"
LR = "model.optimizer.init_args.lr"

pytestmark = pytest.mark.usefixtures("on_generated_data")


@pytest.fixture
def typed(recipe: Path) -> list[str]:
    """A command whose recipe and space lie in the working folder."""
    recipe.write_text(RECIPE)
    Path("space.yaml").write_text(SPACE)
    return ["sweep", "--config", str(recipe), "--space", "space.yaml"]


def rows() -> list[dict[str, str]]:
    with (SWEEP / "trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_sweep_ends_with_the_best_recipe_and_a_table(
    cli: Run, typed: list[str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")  # a task beside others of SLURM: each runs a sweep by itself
    monkeypatch.setenv("SLURM_PROCID", "1")
    printed = cli(*typed, "--trials", "2")
    assert "Trials of tiny_sweep: 2, 1 at a time" in printed
    assert re.search(
        r"trial 1   validation loss \d\.\d{4}   optimizer.lr 0\.\d+   data.batch_size \d+   2 of 2", printed
    )
    runs = [read_results(SWEEP / f"version_{number}") for number in range(2)]
    assert [float(row["val/loss"]) for row in rows()] == [run.fit["best"]["val/loss"] for run in runs]
    assert [row["run"] for row in rows()] == [str(run.run_dir) for run in runs]
    for row, run in zip(rows(), runs, strict=True):
        assert {key: run.settings[key] for key in (LR, "data.batch_size")}.items() <= row.items()
    best = min(runs, key=lambda run: run.fit["best"]["val/loss"])
    assert f"The best: trial {best.run_dir.name[-1]}, validation loss" in printed

    # `fit` takes the best recipe, and understands it as the trial did.
    assert (SWEEP / "tiny_sweep_best.yaml").read_text().startswith("# The best of 2 trials of the sweep tiny_sweep")
    _, understood = fit_settings(["--config", str(SWEEP / "tiny_sweep_best.yaml"), "--data.root", str(data)])
    assert recipe_settings(understood) == recipe_settings(read_config(best.run_dir))

    assert re.search(r"tiny_sweep/version_0 .* finished .* trial 0", cli("list"))
    assert re.search(r"tiny_sweep: .*optimizer.lr", cli("compare", "tiny_sweep"))
    assert "3 of 3 done" in cli(*typed, "--trials", "3")
    assert len({row[LR] for row in rows()}) == 3  # not the first proposals again
    cli("fit", "--config", SWEEP / "tiny_sweep.yaml")
    assert f"{SWEEP}/version_3 is not a run of this sweep" in cli(*typed, "--trials", "4", exits=2)
    Path("space.yaml").write_text(SPACE.replace("0.1", "0.2"))
    assert f"begun with {LR} in the space FloatDistribution(high=0.1, log=True, low=0.0003" in cli(*typed, exits=2)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_with_the_same_trials(
    cli: Run, typed: list[str], command_on_generated_data: list[str]
) -> None:
    long = [*typed, "--trials", "2", "--epochs", "12"]
    process = subprocess.Popen([*command_on_generated_data, *long], stdout=subprocess.DEVNULL)
    wait_for((SWEEP / "version_0/checkpoints/last.ckpt").exists, process)
    assert cli(*long, exits=2).startswith(f"error: Another sweep uses {SWEEP}/study.db.")
    wait_for((SWEEP / "version_1/checkpoints/last.ckpt").exists, process)
    process.kill()
    process.wait()
    assert "2 of 2 done" in cli(*long)  # at once: nobody else can be training it
    assert {run.name for run in SWEEP.glob("version_*")} == {"version_0", "version_1"}
    assert [(row["trial"], row["state"]) for row in rows()] == [("0", "complete"), ("1", "complete")]


@pytest.mark.slow
def test_a_run_that_diverges_is_a_result(cli: Run, typed: list[str]) -> None:
    Path("space.yaml").write_text("{lr: {choices: [0.001, 1e30]}, network: {choices: [mlp]}}")
    printed = cli(*typed, "--trials", "4", "--epochs", "1")
    by_lr = {row[LR]: row for row in rows()}
    assert set(by_lr) == {"0.001", "1e+30"}
    assert by_lr["0.001"]["state"] == "complete"
    assert by_lr["1e+30"]["state"] == "diverged"
    assert re.search(r"trial \d   diverged   optimizer.lr 1e\+30", printed)
