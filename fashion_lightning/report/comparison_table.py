"""Recipes side by side, from what their run folders hold.

Runs of one recipe are one row: mean ± standard deviation over their seeds. Nothing is trained, and
the test set is not opened.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.csv_cells import harmless
from fashion_lightning.report.terminal import print_table
from fashion_lightning.runs.results import RunResults, read_results


@dataclass
class Group:
    """The runs of one recipe, one a seed."""

    label: str
    runs: list[RunResults] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """A column of the table: what it takes from each run, and how it shows a mean and its spread."""

    heading: str
    name: str
    """In CSV, where fractions stay fractions."""
    of: Callable[[RunResults], float | None]
    scale: float = 1.0
    digits: int = 2

    def values(self, group: Group) -> list[float]:
        """Return the value of each run that has one."""
        return [value for run in group.runs if (value := self.of(run)) is not None]

    def text(self, group: Group) -> str:
        """Return mean and standard deviation; with n, if not all runs have a value."""
        values = [value * self.scale for value in self.values(group)]
        if not values:
            return "–"
        text = f"{mean(values):,.{self.digits}f}"
        if len(values) > 1 and (self.digits or len(set(values)) > 1):
            text += f" ± {stdev(values):,.{self.digits}f}"
        return text if len(values) == len(group.runs) else f"{text} (n = {len(values)})"


COLUMNS = (
    Column("parameters", "parameters", lambda run: run.fit["parameters"], digits=0),
    Column("epochs", "epochs", lambda run: run.fit["epochs"], digits=0),
    Column("fit, s", "fit_seconds", lambda run: run.fit["fit_seconds"], digits=0),
    Column("validation, %", "val_accuracy", lambda run: run.fit["best"]["val/accuracy"], 100),
    Column("val. loss", "val_loss", lambda run: run.fit["best"]["val/loss"], digits=3),
    Column("test, %", "test_accuracy", lambda run: run.tests.get("none", {}).get("accuracy"), 100),
    Column("flip-averaged, %", "test_flip_accuracy", lambda run: run.tests.get("flip", {}).get("accuracy"), 100),
    Column(
        "flip- and shift-averaged, %",
        "test_flip_shift_accuracy",
        lambda run: run.tests.get("flip_shift", {}).get("accuracy"),
        100,
    ),
    Column("top-5, %", "test_top5", lambda run: run.tests.get("none", {}).get("top5"), 100),
    Column("test loss", "test_loss", lambda run: run.tests.get("none", {}).get("loss"), digits=3),
)


@dataclass(frozen=True)
class Comparison:
    """Recipes, and the folders that could not be read with the reason."""

    groups: list[Group]
    problems: list[tuple[Path, str]]


def compare(run_dirs: Sequence[Path]) -> Comparison:
    """Read run folders and group them by recipe."""
    by_settings: dict[tuple[str, frozenset[tuple[str, str]]], list[RunResults]] = {}
    problems = []
    for run_dir in run_dirs:
        try:
            results = read_results(run_dir)
        except UserError as error:
            problems.append((run_dir, str(error)))
        else:
            by_settings.setdefault((results.name, frozenset(results.settings.items())), []).append(results)
    groups = []
    for (name, settings), runs in by_settings.items():
        variants = [other for other_name, other in by_settings if other_name == name]
        # A config.yaml may come from anybody.
        group = Group(one_line(f"{name}: {_differences(settings, variants)}" if len(variants) > 1 else name))
        for run in runs:
            if any(known.seed == run.seed for known in group.runs):  # the same seed again says nothing new
                group.notes.append(f"seed {run.seed} is there twice; {run.run_dir.name} left out")
            else:
                group.runs.append(run)
        groups.append(group)
    return Comparison(groups, problems)


def _differences(settings: frozenset[tuple[str, str]], variants: Sequence[frozenset[tuple[str, str]]]) -> str:
    """Name the settings that tell a recipe from the others of its name, every one of them and no other."""
    shared = frozenset.intersection(*variants)
    if own := sorted(settings - shared):
        texts = list(dict.fromkeys(in_short(key, value) for key, value in own))
        return ", ".join(text for text in texts if not any(other.startswith(f"{text}.") for other in texts))
    others = sorted({key for variant in variants for key, _ in variant - shared})
    return ", ".join(dict.fromkeys(f"no {in_short(key)}" for key in others))


def in_short(key: str, value: str = "") -> str:
    """Shorten ``model.optimizer.init_args.lr`` to ``optimizer.lr``, and a class path to the name of the class."""
    name = value.rpartition(".")[2] if key.endswith(".class_path") else value
    if key.endswith(f".{name}.class_path"):  # the parts of a list, such as callbacks, go by the name already
        name = ""
    short = key.removeprefix("model.").removeprefix("trainer.").removesuffix(".class_path")
    return f"{short.replace('.init_args.', '.')} {name}".strip()


def rows(comparison: Comparison) -> list[list[str]]:
    """Return the table as text, with a heading; folders without results come last."""
    table = [["recipe", "n", *(column.heading for column in COLUMNS), "notes"]]
    for group in comparison.groups:
        cells = [column.text(group) for column in COLUMNS]
        table.append([group.label, str(len(group.runs)), *cells, "; ".join(group.notes)])
    for path, problem in comparison.problems:
        table.append([one_line(str(path)), *[""] * (len(COLUMNS) + 1), problem])
    return table if any(row[-1] for row in table[1:]) else [row[:-1] for row in table]


def print_comparison(comparison: Comparison) -> None:
    """Print the table without its empty columns."""
    columns = [column for column in zip(*rows(comparison), strict=True) if set(column[1:]) - {"–", ""}]
    if columns:
        heading, *others = zip(*columns, strict=True)
        print_table(heading, others, left=("recipe", "notes"))


def markdown(comparison: Comparison) -> str:
    """Return the table for a README."""
    heading, *others = rows(comparison)
    rule = ["---" if number == 0 else "---:" for number in range(len(heading))]
    return "".join(f"| {' | '.join(map(_markdown_cell, row))} |\n" for row in [heading, rule, *others])


def _markdown_cell(text: str) -> str:
    """Escape a name: a bar would begin the next cell, a line break end the table."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def csv_text(comparison: Comparison) -> str:
    """Return what the means are made of, as numbers: a row for every run, seconds and fractions of images."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["recipe", "seed", "run", *(column.name for column in COLUMNS)])
    for group in comparison.groups:
        for run in sorted(group.runs, key=lambda run: run.seed):
            cells = (column.of(run) for column in COLUMNS)
            writer.writerow([harmless(group.label), run.seed, harmless(str(run.run_dir)), *cells])
    return content.getvalue()
