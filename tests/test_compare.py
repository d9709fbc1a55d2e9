"""Tables and pictures from run folders, also from those in a bad way."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from fashion_lightning.report.comparison_curves import draw
from fashion_lightning.report.comparison_table import compare, markdown, print_table, rows
from fashion_lightning.runs.results import find_runs
from tests.conftest import Run

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


def test_runs_of_a_recipe_are_a_row_with_mean_and_standard_deviation(cli: Run, trained: Path, runs: Runs) -> None:
    for seed, accuracy in ((1, 0.90), (2, 0.92), (3, 0.94)):
        runs(seed, accuracy)
    shutil.rmtree(trained)
    printed = cli("compare", "tiny")
    assert "92.00 ± 2.00" in printed
    assert "1,628" in printed
    assert "notes" not in printed


def test_the_test_figures_that_are_there_are_shown(cli: Run, trained: Path) -> None:
    assert rows(compare([trained]))[1][7:] == ["–"] * 5
    cli("test", "--ckpt_path", trained, "--model.tta", "flip")
    measured = [json.loads((trained / f"test_{name}.json").read_text()) for name in ("best", "best_flip")]
    shown = dict(zip(*rows(compare([trained])), strict=True))
    assert shown["test, %"] == f"{100 * measured[0]['accuracy']:.2f}"
    assert shown["flip-averaged, %"] == f"{100 * measured[1]['accuracy']:.2f}"
    assert shown["test loss"] == f"{measured[0]['loss']:.3f}"
    fit = json.loads((trained / "fit.json").read_text())
    edit(trained, best=fit["best"] | {"steps": fit["best"]["steps"] + 10})  # it was continued and became better
    assert dict(zip(*rows(compare([trained])), strict=True))["test, %"] == "–"


def test_a_label_holds_every_difference_and_no_other(trained: Path, runs: Runs) -> None:
    other = runs(1, 0.5, shift="2", cutout="4", batch_size="25", label_smoothing="0.1", max_epochs="3")
    labels = [row[0] for row in rows(compare([trained, runs(2, 0.9), other]))][1:]
    assert labels == [
        "tiny: data.batch_size 50, data.cutout 0, data.shift 1, label_smoothing 0.0, max_epochs 2",
        "tiny: data.batch_size 25, data.cutout 4, data.shift 2, label_smoothing 0.1, max_epochs 3",
    ]


def test_a_callback_is_a_setting(trained: Path, runs: Runs) -> None:
    averaged = runs(1, 0.5)
    config = (averaged / "config.yaml").read_text()
    assert "  callbacks: null\n" in config
    average = "[{class_path: fashion_lightning.callbacks.weight_averaging.WeightEMA, init_args: {decay: 0.9}}]"
    (averaged / "config.yaml").write_text(config.replace("  callbacks: null\n", f"  callbacks: {average}\n"))
    labels = [row[0] for row in rows(compare([trained, averaged]))][1:]
    assert labels == ["tiny: callbacks None", "tiny: callbacks.WeightEMA.decay 0.9"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_that_is_too_narrow_shows_fewer_columns_and_breaks_no_number(
    trained: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], width: int
) -> None:
    comparison = compare([trained, runs(1, 0.9), runs(2, 0.5, shift="2", cutout="4")])
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("fashion_lightning.report.comparison_table.Console", partial(Console, force_terminal=True))
    print_table(comparison)
    table, _, note = capfd.readouterr().out.partition("Not shown at this width: ")
    assert max(map(len, re.sub(r"\x1b\[[\d;]*m", "", table).splitlines())) <= width
    shown, hidden = dict(zip(*rows(comparison)[:2], strict=True)), note.partition(". All columns")[0].split(", ")
    for name in ("n", "validation, %", *(() if width < 120 else ("epochs", "parameters", "val. loss"))):
        assert shown[name] in table
    assert hidden[:1] == ["test"] if width == 120 else "flip-averaged" in hidden


def test_the_legend_is_whole_however_long_a_label_is(
    trained: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = runs(1, 0.5, shift="2", cutout="4", batch_size="25", label_smoothing="0.1", max_epochs="3", flip="none")
    groups = compare([trained, long, runs(2, 0.6, shift="3")]).groups
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    draw(groups, Path("curves.png"))
    FigureCanvasAgg(drawn[0]).draw()  # type: ignore[no-untyped-call]
    (legend,) = drawn[0].legends
    texts = [text.get_text().replace("\n", " ") for text in legend.get_texts()]
    assert texts == [f"{group.label} (n = 1)" for group in groups]
    box, axes = legend.get_window_extent(), drawn[0].axes[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= drawn[0].bbox.width
    assert 0 <= box.y0 < box.y1 <= axes.y0 < axes.y1 - 200


def test_places_and_logging_do_not_make_another_recipe_but_processes_do(trained: Path, runs: Runs) -> None:
    (group,) = compare([trained, other := runs(1, 0.9, root="elsewhere", log_every_n_steps="7")]).groups
    assert len(group.runs) == 2
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
        (lambda run: (run / "config.yaml").write_text("model: ["), "config.yaml is damaged"),
        (lambda run: (run / "config.yaml").write_text("nothing: 1"), "config.yaml is not of this project"),
        (lambda run: (run / "fit.json").unlink(), "not finished"),
        (lambda run: (run / "fit.json").write_text('{"epochs": 2, "se'), "fit.json is damaged"),
        (lambda run: (run / "fit.json").write_text("[]"), "fit.json lacks seed"),
        (lambda run: edit(run, epochs=None), "fit.json lacks epochs"),
        (lambda run: edit(run, best={"epoch": 1, "val/accuracy": 0.5}), "fit.json lacks steps"),
        (lambda run: edit(run, best={}), "no validation metrics"),
        (lambda run: [(run / "fit.json").unlink(), (run / "fit.json").mkdir()], "fit.json is damaged"),
        (lambda run: (run / "test_best.json").write_bytes(b"\xff\xfe"), "test_best.json is damaged"),
        (lambda run: [path.unlink() for path in run.glob("*/*.ckpt")] and (run / "fit.json").unlink(), "no results"),
    ],
)
def test_a_folder_without_results_is_named_and_the_rest_is_shown(
    cli: Run, trained: Path, runs: Runs, spoil: Callable[[Path], object], problem: str
) -> None:
    bad = runs(1, 0.9)
    spoil(bad)
    lines = cli("compare", trained, bad, "README.md", "brackets[/x]").splitlines()
    assert any("brackets[/x]" in line for line in lines)
    assert any(str(bad) in line and line.rstrip().endswith(problem) for line in lines)
    assert any("README.md" in line and "does not exist" in line for line in lines)
    assert any(line.startswith(" tiny") or line.startswith("tiny") for line in lines)


def test_nothing_to_compare_is_an_error(cli: Run) -> None:
    assert "error: None of these folders holds the results of a run." in cli("compare", "nowhere", exits=2)
    assert cli("compare", exits=2) == "error: the following arguments are required: RUN\n"


def test_markdown_csv_and_picture_hold_the_same(cli: Run, trained: Path, runs: Runs) -> None:
    other = runs(1, 0.5, shift="2")
    printed = cli("compare", trained, other, "gone", "--output", "report")
    assert "Written to report: comparison.md, comparison.csv, runs.csv, curves.png" in printed
    table = Path("report/comparison.md").read_text()
    assert table == markdown(compare([trained, other, Path("gone")]))
    assert table.splitlines()[1].startswith("| --- | ---:")
    lines = list(csv.DictReader(Path("report/comparison.csv").read_text().splitlines()))
    assert [line["recipe"] for line in lines] == ["tiny: data.shift 1", "tiny: data.shift 2", "gone"]
    assert float(lines[1]["val_accuracy_mean"]) == 0.5
    each = list(csv.DictReader(Path("report/runs.csv").read_text().splitlines()))
    assert [(line["recipe"], line["seed"], line["run"]) for line in each] == [
        ("tiny: data.shift 1", "0", str(trained)),
        ("tiny: data.shift 2", "1", str(other)),
    ]
    assert float(each[1]["val_accuracy"]) == 0.5
    assert Path("report/curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "name",
    [
        "cost_$5_vs_$6",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("$\\frac$", "_hidden", "=1+1")),
        "a|b\\",
    ],
)
def test_a_recipes_name_is_written_to_the_letter(cli: Run, trained: Path, name: str) -> None:
    edit(trained, recipe=name)
    groups = compare([trained]).groups
    cli("compare", trained, "--output", "report")
    assert Path("report/curves.png").read_bytes().startswith(b"\x89PNG")
    draw(groups, Path("curves.svg"))
    assert f"<!-- {escape(name)} (n = 1) -->" in Path("curves.svg").read_text(encoding="utf-8")
    heading, _, row = Path("report/comparison.md").read_text(encoding="utf-8").splitlines()
    unescaped = re.compile(r"(?<!\\)(?:\\\\)*\|")
    assert len(unescaped.findall(row)) == len(unescaped.findall(heading))
    for file in ("comparison.csv", "runs.csv"):
        (line,) = csv.DictReader(Path("report", file).read_text(encoding="utf-8").splitlines())
        assert line["recipe"] == ("'=1+1" if name == "=1+1" else name)


@pytest.mark.slow
def test_epochs_without_validation_are_not_taken_for_lost_ones(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, "--trainer.max_epochs", "4", "--trainer.check_val_every_n_epoch", "2")
    assert draw(compare([Path("tensorboard_logs/tiny/version_0")]).groups, Path("curves.png")) == []


def test_a_torn_event_file_is_named_beside_the_picture(trained: Path) -> None:
    (file,) = trained.glob("events.out.tfevents.*")
    file.write_bytes(file.read_bytes()[:-300])
    (note, *_) = draw(compare([trained]).groups, Path("curves.png"))
    assert f"the event files of {trained} lack" in note
    assert Path("curves.png").is_file()


def test_folders_of_runs_globs_and_recipe_names_find_the_same_runs(trained: Path, runs: Runs) -> None:
    both = [trained, runs(1, 0.9)]
    assert find_runs(["tiny"]) == find_runs(["tensorboard_logs/tiny"]) == both
    assert find_runs(["tensorboard_logs/*/version_*"]) == find_runs([str(trained), "tiny"]) == both
    assert find_runs([str(both[1])]) == both[1:]
