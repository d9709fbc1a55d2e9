"""Tables and pictures from run folders, damaged ones and strangers' included."""

import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from math import sqrt
from pathlib import Path

import pytest

from fashion_lightning.report.comparison_table import compare, differences, rows
from fashion_lightning.report.intervals import difference, student95
from fashion_lightning.runs.results import find_runs
from tests.conftest import Run
from tests.test_report import text_of
from tests.test_tensorboard import curve

Runs = Callable[..., Path]


@pytest.fixture
def runs(trained: Path) -> Runs:
    """Copies of a finished run, with other seeds, figures and settings."""

    def copy(seed: int, accuracy: float, folder: str = "tiny", **settings: str) -> Path:
        logs = Path("tensorboard_logs") / folder
        logs.mkdir(exist_ok=True)
        run = logs / f"version_{10 + len(list(logs.glob('version_*')))}"
        shutil.copytree(trained, run)
        fit = json.loads((run / "fit.json").read_text())
        fit["seed"], fit["best"]["val/accuracy"] = seed, accuracy
        (run / "fit.json").write_text(json.dumps(fit))
        config = (run / "config.yaml").read_text()
        for old, new in settings.items():
            assert f"{old}: " in config
            config = config.replace(f"{old}: ", f"{old}: {new} # ", 1)
        (run / "config.yaml").write_text(config)
        return run

    return copy


def edit(run: Path, **values: object) -> None:
    """Replace figures of a report."""
    report = json.loads((run / "fit.json").read_text())
    (run / "fit.json").write_text(json.dumps({**report, **values}))


def pipe(path: Path) -> None:
    """Make a named pipe; a program that opens it waits."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def test_runs_of_a_recipe_are_a_row_with_mean_and_standard_deviation(cli: Run, trained: Path, runs: Runs) -> None:
    for seed, accuracy in ((1, 0.90), (2, 0.92), (3, 0.94)):
        runs(seed, accuracy)
    shutil.rmtree(trained)
    printed = cli("compare", "tiny")
    assert "92.00 ± 2.00" in printed
    assert "1,628" in printed
    assert "notes" not in printed


def test_a_label_holds_every_difference_and_no_other(trained: Path, runs: Runs) -> None:
    other = runs(1, 0.5, shift="2", cutout="4", batch_size="25", label_smoothing="0.1", max_epochs="3")
    labels = [row[0] for row in rows(compare([trained, runs(2, 0.9), other]))][1:]
    assert labels == [
        "tiny: data.batch_size 50, data.cutout 0, data.shift 1, label_smoothing 0.0, max_epochs 2",
        "tiny: data.batch_size 25, data.cutout 4, data.shift 2, label_smoothing 0.1, max_epochs 3",
    ]


def test_places_and_logging_do_not_make_another_recipe_but_processes_do(trained: Path, runs: Runs) -> None:
    other = runs(
        1,
        0.9,
        root="elsewhere",
        log_every_n_steps="7",
        logger="[{class_path: loggers.WandbLogger, init_args: {id: a1b2}}]",
    )
    assert len(compare([trained, other]).groups[0].runs) == 2
    edit(other, processes=8)
    assert {group.label for group in compare([trained, other]).groups} == {"tiny: processes 1", "tiny: processes 8"}


def test_a_seed_that_is_there_twice_counts_once(trained: Path, runs: Runs) -> None:
    table = rows(compare([runs(0, 0.9), trained]))
    assert table[1][1] == "1"
    assert table[1][-1] == f"seed 0 is there twice; {trained.name} left out"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda run: shutil.rmtree(run), "does not exist"),
        (lambda run: (run / "config.yaml").unlink(), "not a run folder"),
        (lambda run: shutil.copy(f"{shutil.move(run, f'{run}_old')}/fit.json", run), "not a run folder"),
        (lambda run: (run / "config.yaml").write_text("model: ["), "config.yaml is damaged"),
        (lambda run: (run / "fit.json").unlink(), "not finished"),
        (lambda run: (run / "fit.json").write_text('{"epochs": 2, "se'), "not finished"),
        (lambda run: edit(run, epochs=None), "not finished"),
        (lambda run: edit(run, best={}), "no validation metrics"),
        (lambda run: edit(run, best=[1]), "not finished"),
        (lambda run: edit(run, best={"val/accuracy": "0.9"}), "not finished"),
        (lambda run: edit(run, seed="0"), "not finished"),
        (lambda run: (run / "fit.json").write_text("[" * 5000 + "]" * 5000), "not finished"),
        (lambda run: pipe(run / "fit.json"), "not finished"),
        (lambda run: pipe(run / "config.yaml"), "config.yaml is damaged"),
    ],
)
def test_a_folder_without_results_is_named_and_the_rest_is_shown(
    cli: Run, trained: Path, runs: Runs, spoil: Callable[[Path], object], problem: str
) -> None:
    bad = runs(1, 0.9)
    spoil(bad)
    lines = cli("compare", trained, bad, "brackets[/x]", exits=2).splitlines()
    assert lines[-1].startswith("error: There is no run ")
    assert lines[-1].endswith("brackets[/x].")
    assert any(str(bad) in line and line.rstrip().endswith(problem) for line in lines)
    assert any("brackets[/x]" in line and "does not exist" in line for line in lines)
    assert any(line.lstrip().startswith("tiny") for line in lines)


def test_markdown_csv_page_and_picture_hold_the_same(cli: Run, trained: Path, runs: Runs) -> None:
    cli("test", "--ckpt_path", trained)
    tested = json.loads((trained / "test_best.json").read_text())["accuracy"]
    name = "$\\frac <b>a|b\\"
    edit(runs(1, 0.5), recipe=name)
    edit(runs(2, 0.7), recipe=name)
    printed = cli("compare", "tiny", "gone", "--output", "report", exits=2)
    names = "comparison.md, runs.csv, differences.csv, curves.csv, curves.png, comparison.html"
    assert f"Written to report: {names}\nerror: There is no run gone." in printed
    recipes, against, classes = Path("report/comparison.md").read_text(encoding="utf-8").split("\n\n")
    heading, _, tiny, other, gone = recipes.splitlines()
    assert ("| 2 and 1 |" in against, "Ankle boot" in classes) == (True, True)
    columns = re.compile(r"(?<!\\)(?:\\\\)*\|")
    assert {len(columns.findall(line)) for line in (heading, tiny, other, gone)} == {len(columns.findall(heading))}
    assert (f"{100 * tested:.2f}" in tiny, "60.00 ± 14.14" in other, "does not exist" in gone) == (True, True, True)
    each = list(csv.DictReader(Path("report/runs.csv").read_text(encoding="utf-8").splitlines()))
    assert [(line["recipe"], line["seed"]) for line in each] == [("tiny", "0"), (name, "1"), (name, "2")]
    assert [float(line["val_accuracy"]) for line in each[1:]] == [0.5, 0.7]
    curves = list(csv.DictReader(Path("report/curves.csv").read_text(encoding="utf-8").splitlines()))
    assert [(line["seed"], line["epoch"]) for line in curves[:3]] == [("0", "1"), ("0", "2"), ("1", "1")]
    assert float(curves[1]["val/loss"]) == curve(trained, "val/loss")[1][1]
    paper = cli("compare", "tiny", "--format", "latex").splitlines()
    assert paper[5].startswith(r"\$\textbackslash{}frac <b>a|b\textbackslash{} & 2 & ")
    assert r"60.00 $\pm$ 14.14 & " in paper[5]
    assert all(paper[line].endswith(r" \\") for line in (2, 4, 5))
    assert [each["seed"] for each in json.loads(cli("compare", "tiny", "--format", "json"))["runs"]] == [0, 1, 2]
    assert json.loads(cli("list", "--format", "json"))["runs"][0]["run"] == "tiny/version_0"
    assert Path("report/curves.png").read_bytes().startswith(b"\x89PNG")
    page = Path("report/comparison.html").read_text(encoding="utf-8")
    assert (page.count("data:image/png;base64,"), "<b>a" in page) == (1, False)


def test_the_page_compares_every_recipe_with_the_first(cli: Run, trained: Path, runs: Runs) -> None:
    for seed, accuracy in enumerate((0.80, 0.82, 0.84)):
        runs(seed, accuracy)
        edit(runs(seed, accuracy + 0.1), recipe="second")
    shutil.rmtree(trained)
    cli("compare", "tiny", "--output", "report")
    text = text_of(Path("report/comparison.html"))
    half = 2.776445 * sqrt(2 * 2.0**2 / 3)
    assert f"second tiny validation +10.00 +{10 - half:.2f} to +{10 + half:.2f} 0.0036 3 and 3" in text


def test_single_runs_are_compared_image_by_image_where_predictions_are_there(
    cli: Run, trained: Path, runs: Runs
) -> None:
    cli("test", "--ckpt_path", trained)
    cli("predict", "--ckpt_path", trained)
    edit(better := runs(0, 0.9), recipe="second")
    predictions, test = better / "predictions.csv", json.loads((better / "test_best.json").read_text())
    rows_of = list(csv.DictReader(predictions.read_text().splitlines()))
    wrong = [row for row in rows_of if row["correct"] == "false"][:6]
    for row in wrong:
        row["correct"] = "true"
    predictions.write_text("\n".join(["image,correct", *(f"{row['image']},{row['correct']}" for row in rows_of)]))
    (better / "test_best.json").write_text(json.dumps({**test, "accuracy": test["accuracy"] + 0.06}))
    (found,) = (row for row in differences(compare([trained, better]).groups) if row["metric"] == "test")
    assert (found["difference"], found["p"], found["n"]) == (0.06, 2 / 2**6, "100 images")  # six coins, all heads
    assert not differences(compare([trained, runs(1, 0.9, **{"  folder": "mine"})]).groups)  # on other images


def test_of_recipes_with_other_classes_the_class_alone_is_named(trained: Path, runs: Runs) -> None:
    path = (other := runs(1, 0.9)) / "config.yaml"
    path.write_text(
        re.sub(r"class_path: \S+Muon\n(\s+)init_args:", r"class_path: torch.optim.SGD\n\1init_args:", path.read_text())
    )
    labels = [group.label for group in compare([trained, other]).groups]
    assert labels == ["tiny: optimizer Muon", "tiny: optimizer SGD"]


def test_students_t_is_that_of_the_tables() -> None:
    """Of the two-sided 5 % column that every textbook prints."""
    for freedom, t in ((1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042)):
        assert student95(freedom) == pytest.approx(t, abs=5e-4)


def test_one_seed_has_no_interval_and_neither_have_equal_values() -> None:
    assert difference([0.9], [0.8, 0.7])[1] is None
    assert difference([0.5, 0.5], [0.25, 0.25])[1] is None


def test_folders_of_runs_globs_and_recipe_names_find_the_same_runs(trained: Path, runs: Runs) -> None:
    both = [trained, runs(1, 0.9)]
    assert find_runs(["tiny"]) == find_runs(["tensorboard_logs/tiny"]) == both
    assert find_runs(["tensorboard_logs/*/version_*"]) == find_runs([str(trained), "tiny"]) == both
    assert find_runs([str(both[1])]) == both[1:]
    Path("tiny").mkdir()  # of something else
    assert find_runs(["tiny"]) == find_runs(["seeds/tiny"]) == both


EVENTS = "events.out.tfevents.1.somebody.1.0"


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: pipe(run / EVENTS),
        lambda run: (run / EVENTS).mkdir(),
        lambda run: (run / EVENTS).symlink_to("/dev/zero"),
        lambda run: (run / EVENTS).write_bytes(os.urandom(1000)),
        lambda run: pipe(run / "progress.json"),
        lambda run: pipe(run / "run.json"),
        lambda run: (run / "progress.json").write_text("[" * 4000),
    ],
)
def test_what_else_lies_in_the_folder_is_passed_over(cli: Run, trained: Path, damage: Callable[[Path], object]) -> None:
    damage(trained)
    assert "lack" not in cli("compare", trained, "--output", "comparison")
    assert "tiny/version_0" in cli("list")


def test_names_in_a_config_do_not_reach_the_terminal_as_they_are(cli: Run, trained: Path, runs: Runs) -> None:
    runs(1, 0.9)
    (trained / "config.yaml").write_text('seed_everything: 0\nmodel: {"\\e[31mred": "\\e]0;title\\a"}\n')
    printed = cli("compare", "tiny")
    assert "\x1b" not in printed
    assert "\\x1b[31mred" in printed
