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
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fashion_lightning.errors import UserError, one_line
from fashion_lightning.files.csv_cells import harmless
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
        """The value of each run that has one."""
        return [value for run in group.runs if (value := self.of(run)) is not None]

    def text(self, group: Group) -> str:
        values = [value * self.scale for value in self.values(group)]
        if not values:
            return "–"
        text = f"{mean(values):,.{self.digits}f}"
        if len(values) > 1 and (self.digits or len(set(values)) > 1):
            text += f" ± {stdev(values):,.{self.digits}f}"
        return text if len(values) == len(group.runs) else f"{text} (n = {len(values)})"


def _best(name: str) -> Callable[[RunResults], float | None]:
    return lambda run: float(run.fit["best"][name])


def _test(tta: str, name: str) -> Callable[[RunResults], float | None]:
    return lambda run: float(run.tests[tta][name]) if tta in run.tests else None


COLUMNS = (
    Column("parameters", "parameters", lambda run: float(run.fit["parameters"]), digits=0),
    Column("epochs", "epochs", lambda run: float(run.fit["epochs"]), digits=0),
    Column("fit, s", "fit_seconds", lambda run: float(run.fit["fit_seconds"]), digits=0),
    Column("validation, %", "val_accuracy", _best("val/accuracy"), 100),
    Column("val. loss", "val_loss", _best("val/loss"), digits=3),
    Column("test, %", "test_accuracy", _test("none", "accuracy"), 100),
    Column("flip-averaged, %", "test_flip_accuracy", _test("flip", "accuracy"), 100),
    Column("flip- and shift-averaged, %", "test_flip_shift_accuracy", _test("flip_shift", "accuracy"), 100),
    Column("top-5, %", "test_top5", _test("none", "top5"), 100),
    Column("test loss", "test_loss", _test("none", "loss"), digits=3),
)


FIRST_TO_GO = (
    "top-5, %",
    "val. loss",
    "test loss",
    "flip- and shift-averaged, %",
    "parameters",
    "flip-averaged, %",
    "fit, s",
    "epochs",
)
"""Columns in the order in which a narrow terminal goes without them."""

LEAST_TEXT = 24
"""Characters of a line of a recipe's name, or of a note, in the terminal."""


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
            earlier = [known for known in group.runs if known.seed == run.seed]
            if earlier:  # the same seed again says nothing new
                group.notes.append(f"seed {run.seed} is there twice; {run.run_dir.name} left out")
            else:
                group.runs.append(run)
        groups.append(group)
    return Comparison(groups, problems)


def _differences(settings: frozenset[tuple[str, str]], variants: Sequence[frozenset[tuple[str, str]]]) -> str:
    """The settings that tell a recipe from the others of its name, every one of them and no other."""
    shared = frozenset.intersection(*variants)
    own = sorted(settings - shared)
    if own:
        texts = list(dict.fromkeys(f"{_short(key)} {_short_value(key, value)}".strip() for key, value in own))
        return ", ".join(text for text in texts if not any(other.startswith(f"{text}.") for other in texts))
    others = sorted({key for variant in variants for key, _ in variant - shared})
    return ", ".join(dict.fromkeys(f"no {_short(key)}" for key in others))


def _short(key: str) -> str:
    """``model.optimizer.init_args.lr`` → ``optimizer.lr``."""
    key = key.removeprefix("model.").removeprefix("trainer.").removesuffix(".class_path")
    return key.replace(".init_args.", ".")


def _short_value(key: str, value: str) -> str:
    """A class by its name alone, which the parts of a list, such as callbacks, go by already."""
    if not key.endswith(".class_path"):
        return value
    name = value.rpartition(".")[2]
    return "" if key.endswith(f".{name}.class_path") else name


def rows(comparison: Comparison) -> list[list[str]]:
    """The table as text, with a heading; folders without results at its end."""
    table = [["recipe", "n", *(column.heading for column in COLUMNS), "notes"]]
    for group in comparison.groups:
        cells = [column.text(group) for column in COLUMNS]
        table.append([group.label, str(len(group.runs)), *cells, "; ".join(group.notes)])
    for path, problem in comparison.problems:
        table.append([one_line(str(path)), *[""] * (len(COLUMNS) + 1), problem])
    if not any(row[-1] for row in table[1:]):
        table = [row[:-1] for row in table]
    return table


def print_table(comparison: Comparison) -> None:
    """Print the table, as wide as it is where the output is not a terminal.

    On a terminal that is too narrow, columns are left out and named; a number is never broken.
    """
    heading, *others = rows(comparison)
    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)
    empty = [name for number, name in enumerate(heading) if all(row[number] in ("–", "") for row in others)]
    dropped: list[str] = []
    for name in [*empty, *FIRST_TO_GO]:
        if _least_width(console, table := _table(heading, others, dropped)) <= console.width:
            break
        if name in heading and name not in dropped:
            dropped.append(name)
    else:
        table = _table(heading, others, dropped)
    console.print(table, highlight=False)
    if dropped:
        names = ", ".join(name.removesuffix(", %") for name in heading if name in dropped)
        print(f"Not shown at this width: {names}. All columns: in a wider terminal, or with --output FOLDER")


def _table(heading: Sequence[str], others: Sequence[Sequence[str]], dropped: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown = [number for number, name in enumerate(heading) if name not in dropped]
    for number in shown:
        is_text = number == 0 or heading[number] == "notes"
        cells = [row[number] for row in others]
        # Numbers stay whole: a column is as wide as its widest cell, and its heading is broken between words.
        least = min(LEAST_TEXT, max(map(len, cells))) if is_text else max(map(len, cells))
        table.add_column(heading[number], justify="left" if is_text else "right", overflow="fold", min_width=least)
    for row in others:
        table.add_row(*(escape(row[number]) for number in shown))  # a path may hold brackets, rich's markup
    return table


def _least_width(console: Console, table: Table) -> int:
    return console.measure(table, options=console.options.update(width=1000)).minimum


def markdown(comparison: Comparison) -> str:
    """The table for a README."""
    heading, *others = rows(comparison)
    rule = ["---" if number == 0 else "---:" for number in range(len(heading))]
    return "".join(f"| {' | '.join(map(_markdown_cell, row))} |\n" for row in [heading, rule, *others])


def _markdown_cell(text: str) -> str:
    """A name to the letter: a bar would begin the next cell, a line break end the table."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def csv_text(comparison: Comparison) -> str:
    """The table as numbers: a mean and a standard deviation each; seconds, and fractions of images."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["recipe", "n", *(f"{f.name}_{part}" for f in COLUMNS for part in ("mean", "sd", "n")), "notes"])
    for group in comparison.groups:
        cells: list[Any] = []
        for column in COLUMNS:
            values = column.values(group)
            cells += [mean(values) if values else "", stdev(values) if len(values) > 1 else "", len(values)]
        writer.writerow([harmless(group.label), len(group.runs), *cells, "; ".join(group.notes)])
    for path, problem in comparison.problems:
        writer.writerow([harmless(str(path)), 0, *[""] * (3 * len(COLUMNS)), problem])
    return content.getvalue()


def runs_csv(comparison: Comparison) -> str:
    """What the means are made of: a row for every run."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["recipe", "seed", "run", *(column.name for column in COLUMNS)])
    for group in comparison.groups:
        for run in sorted(group.runs, key=lambda run: run.seed):
            cells = (column.of(run) for column in COLUMNS)
            writer.writerow([harmless(group.label), run.seed, harmless(str(run.run_dir)), *cells])
    return content.getvalue()
