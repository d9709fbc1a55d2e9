"""A search over settings: real processes, each trial a run of its own."""

import csv
import re
import signal
import subprocess
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from playwright.sync_api import Browser

from fashion_lightning import processes
from fashion_lightning.cli import deploy
from fashion_lightning.cli.many_fits import fit_settings
from fashion_lightning.runs.results import read_config, read_results, recipe_settings
from fashion_lightning.sweeps.results import sweep_page
from tests.browser import open_page
from tests.conftest import Run
from tests.sweep_kills import RECIPE
from tests.test_repeat import wait_for

SWEEP = Path("tensorboard_logs/tiny_sweep")
SPACE = "{lr: {low: 3e-4, high: 0.1, log: true}, data.batch_size: {choices: [50, 100]}}"
LR = "model.optimizer.init_args.lr"


@pytest.fixture(autouse=True)
def on_generated_data(monkeypatch: pytest.MonkeyPatch, command_on_generated_data: list[str]) -> None:
    monkeypatch.setattr(processes, "PROGRAM", tuple(command_on_generated_data))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def typed(recipe: Path) -> list[str]:
    """A command whose recipe and space lie in the working folder."""
    recipe.write_text(RECIPE)
    Path("space.yaml").write_text(SPACE)
    return ["sweep", "--config", str(recipe), "--space", "space.yaml"]


def rows() -> list[dict[str, str]]:
    with (SWEEP / "trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--space", "missing.yaml"], "No such file or directory: missing.yaml"),
        (["--trials", "0"], "must be a whole number of at least 1"),
        (["--sampler", "grid"], "'grid'"),
        (["--seed", "3"], "leave --seed_everything out."),
        (["--ckpt_path", "tiny"], "leave --ckpt_path out."),
        (["--study", "a/b"], "The study cannot be called 'a/b'"),
        (["--lr", "0.1"], f"{LR} is searched in space.yaml, and typed as well: leave one of them out."),
        (["--storage", "nonsense"], "--storage is no address of a database"),
    ],
)
def test_options_that_make_no_sense_are_refused(cli: Run, typed: list[str], options: list[str], line: str) -> None:
    printed = cli(*typed, *options, exits=2)
    assert printed.startswith("error: ")
    assert line in printed
    assert printed.count("\n") == 1
    assert not Path("tensorboard_logs").exists()


def test_missing_packages_are_named(cli: Run, typed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "find_spec", lambda name: None)
    expected = "error: sweep needs packages that are not installed: pip install optuna plotly\n"
    assert cli(*typed, exits=2) == expected


def test_a_corner_of_the_space_that_fit_cannot_take_is_refused_in_fits_own_words(cli: Run, typed: list[str]) -> None:
    Path("space.yaml").write_text("data.shift: {low: 0, high: 28}")
    assert re.match(r"error: space.yaml: data.shift must be at least 0 and below 28, not 28", cli(*typed, exits=2))
    assert not Path("tensorboard_logs").exists()


@pytest.mark.slow
def test_a_sweep_ends_with_the_best_recipe_a_table_and_a_page(cli: Run, typed: list[str], data: Path) -> None:
    printed = cli(*typed, "--trials", "2")
    assert "tiny_sweep: 2 trials, 2 to run, 1 at a time" in printed
    assert re.search(r"trial 1   validation loss \d\.\d{4}   optimizer.lr 0\.\d+   batch_size \d+   2 of 2 do", printed)
    runs = [read_results(SWEEP / f"version_{number}") for number in range(2)]
    assert [float(row["val/loss"]) for row in rows()] == [run.fit["best"]["val/loss"] for run in runs]
    assert [row["runs"] for row in rows()] == [str(run.run_dir) for run in runs]
    for row, run in zip(rows(), runs, strict=True):
        assert {key: run.settings[key] for key in (LR, "data.batch_size")}.items() <= row.items()
    best = min(runs, key=lambda run: run.fit["best"]["val/loss"])
    assert f"The best: trial {best.run_dir.name[-1]}, validation loss" in printed

    # `fit` takes the best recipe, and understands it as the trial did.
    assert (SWEEP / "best.yaml").read_text().startswith("# The best of 2 trials of the sweep tiny_sweep")
    _, understood = fit_settings(["--config", str(SWEEP / "best.yaml"), "--data.root", str(data)])
    assert recipe_settings(understood) == recipe_settings(read_config(best.run_dir))

    assert re.search(r"tiny_sweep/version_0 .* finished .*\n    trial 0", cli("list"))
    assert re.search(r"tiny_sweep: .*optimizer.lr", cli("compare", "tiny_sweep"))
    assert "tiny_sweep: 3 trials, 1 to run, 1 at a time" in cli(*typed, "--trials", "3")
    assert len({row[LR] for row in rows()}) == 3  # not the first proposals again
    Path("space.yaml").write_text(SPACE.replace("0.1", "0.2"))
    assert f"begun with {LR} in the space 0.0003 to 0.1, log" in cli(*typed, exits=2)


@pytest.mark.slow
def test_an_interrupted_and_a_killed_sweep_go_on_with_the_same_trials(
    cli: Run, typed: list[str], program: list[str]
) -> None:
    long = [*typed, "--trials", "2", "--epochs", "12"]
    process = subprocess.Popen([*program, *long], stdout=subprocess.PIPE, text=True)
    wait_for((SWEEP / "version_0/checkpoints/last.ckpt").exists, process)
    assert cli(*long, exits=2).startswith(f"error: Another sweep uses {SWEEP}/study.db.")
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on from here." in printed

    process = subprocess.Popen([*program, *long], stdout=subprocess.DEVNULL, text=True)
    wait_for((SWEEP / "version_1/checkpoints/last.ckpt").exists, process)
    process.kill()
    process.wait()
    assert "tiny_sweep: 2 trials, 1 to run, 1 at a time" in cli(*long)  # at once: nobody else can be training it
    assert {run.name for run in SWEEP.glob("version_*")} == {"version_0", "version_1"}
    assert [(row["trial"], row["state"]) for row in rows()] == [("0", "complete"), ("1", "complete")]


@pytest.mark.slow
def test_seeds_are_judged_by_their_mean_and_a_run_that_diverges_is_a_result(cli: Run, typed: list[str]) -> None:
    Path("space.yaml").write_text("lr: {choices: [0.001, 1e30]}")
    printed = cli(*typed, "--trials", "4", "--seeds", "2", "--sampler", "random", "--epochs", "1")
    by_lr = {row[LR]: row for row in rows()}
    assert set(by_lr) == {"0.001", "1e+30"}
    assert by_lr["1e+30"]["state"] == "diverged"
    assert re.search(r"trial \d   diverged   optimizer.lr 1e\+30", printed)
    runs = [read_results(Path(run)) for run in by_lr["0.001"]["runs"].split()]
    assert [run.seed for run in runs] == [0, 1]
    assert float(by_lr["0.001"]["val/loss"]) == sum(run.fit["best"]["val/loss"] for run in runs) / 2


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_shows_every_plot_and_asks_nobody(browser: Browser, tmp_path: Path, width: int) -> None:
    (tmp_path / "sweep.html").write_bytes(page_of_made_up_trials())
    page, complaints = open_page(browser, (tmp_path / "sweep.html").as_uri(), width)
    for plot in range(1, 5):
        page.wait_for_selector(f"#plot-{plot} .main-svg")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert complaints == []
    page.close()


def page_of_made_up_trials() -> bytes:
    """A page of twelve trials, a pruned one among them, one whose choice is made to look like code."""
    space = {LR: FloatDistribution(0.001, 0.1, log=True), "data.flip": CategoricalDistribution(["</script>", "none"])}
    study = optuna.create_study(direction="maximize")
    for number in range(12):
        trial = optuna.create_trial(
            state=TrialState.PRUNED if number == 7 else TrialState.COMPLETE,
            value=None if number == 7 else 0.8 + 0.01 * number,
            params={LR: 0.001 * (number + 1), "data.flip": ("</script>", "none")[number % 2]},
            distributions=space,
            intermediate_values={1: 0.5, 2: 0.6 + 0.01 * number},
        )
        study.add_trial(trial)
    return sweep_page(
        study, "made_up", "validation accuracy", {LR: "", "data.flip": ""}, 11, ["trial"], [["</script>"]]
    )
