"""Compare recipes by the results in their run folders; train nothing and do not open the test set.

The runs of a recipe make one row: mean ± standard deviation over their seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from fashion_lightning.errors import UserError, one_line
from fashion_lightning.report.intervals import difference, paired
from fashion_lightning.report.page import points
from fashion_lightning.runs.results import RunResults, read_curve, read_predictions, read_results

Rows = list[list[str]]

IMAGES = ("data.folder", "data.photographs")
"""Settings that choose the images of a run."""

SPLIT = (*IMAGES, "data.val_size", "data.fold", "trainer.limit_val_batches")
"""Settings that choose a run's validation images."""

VALIDATION = ("val/loss", "val/accuracy", "val/top5")


@dataclass
class Group:
    """The runs of one recipe, one for each seed and fold."""

    label: str
    runs: list[RunResults]
    """By seed."""
    notes: list[str]


@dataclass(frozen=True)
class Column:
    """A column of the table: the value that it takes from each run, and the format of mean and standard deviation."""

    heading: str
    name: str
    """Its name in CSV, which has fractions instead of percentages."""
    place: tuple[str, ...]
    """The path of keys to the value in ``RunResults``."""
    scale: float = 1.0
    digits: int = 2

    def of(self, run: RunResults) -> float | None:
        """Return a run's value; ``None`` if it has none."""
        found: Any = vars(run)
        for key in self.place:
            found = found.get(key, {})
        return None if found == {} else found

    def values(self, group: Group) -> list[float]:
        """Return the value of each run that has one."""
        return [value for run in group.runs if (value := self.of(run)) is not None]

    def text(self, group: Group) -> str:
        """Return mean and standard deviation, and n if some runs have no value."""
        values = [value * self.scale for value in self.values(group)]
        if not values:
            return "–"
        text = f"{mean(values):,.{self.digits}f}"
        if len(values) > 1 and all(map(isfinite, values)) and (self.digits or len(set(values)) > 1):
            text += f" ± {stdev(values):,.{self.digits}f}"
        return text if len(values) == len(group.runs) else f"{text} (n = {len(values)})"


COLUMNS = (
    Column("parameters", "parameters", ("fit", "parameters"), digits=0),
    Column("epochs", "epochs", ("fit", "epochs"), digits=0),
    Column("fit, s", "fit_seconds", ("fit", "fit_seconds"), digits=0),
    Column("validation, %", "val_accuracy", ("fit", "best", "val/accuracy"), 100),
    Column("val. loss", "val_loss", ("fit", "best", "val/loss"), digits=3),
    Column("test, %", "test_accuracy", ("tests", "none", "accuracy"), 100),
    Column("flip-averaged, %", "test_flip_accuracy", ("tests", "flip", "accuracy"), 100),
    Column("flip- and shift-averaged, %", "test_flip_shift_accuracy", ("tests", "flip_shift", "accuracy"), 100),
    Column("top-5, %", "test_top5", ("tests", "none", "top5"), 100),
    Column("test loss", "test_loss", ("tests", "none", "loss"), digits=3),
)


@dataclass(frozen=True)
class Comparison:
    """Recipes, and folders that could not be read, each with the reason."""

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
        briefly = len({_differences(each, variants, True) for each in variants}) == len(variants)
        label = f"{name}: {_differences(settings, variants, briefly)}" if len(variants) > 1 else name
        seeds = {(run.fit["seed"], str(run.fit.get("fold"))): run for run in reversed(runs)}
        notes = [
            f"seed {run.fit['seed']} is there twice; {run.run_dir.name} left out"
            for run in runs
            if run not in seeds.values()  # repetitions of a seed on the same images add nothing
        ]
        # A config.yaml may come from a stranger.
        groups.append(Group(one_line(label), [seeds[seed] for seed in sorted(seeds)], notes))
    return Comparison(groups, problems)


def _differences(
    settings: frozenset[tuple[str, str]], variants: Sequence[frozenset[tuple[str, str]]], briefly: bool
) -> str:
    """Name the settings that distinguish a recipe from others of the same name.

    With ``briefly``, a part whose class differs is named by its class alone.
    """
    shared = frozenset.intersection(*variants)
    own = sorted(settings - shared)
    classes = tuple(key.removesuffix("class_path") for key, _ in own if key.endswith(".class_path"))
    told = [(key, value) for key, value in own if not (briefly and key.startswith(classes)) or "class_path" in key]
    if told:
        return ", ".join(dict.fromkeys(in_short(key, value) for key, value in told))
    others = sorted({key for variant in variants for key, _ in variant - shared})
    return ", ".join(dict.fromkeys(f"no {in_short(key)}" for key in others))


def in_short(key: str, value: str = "") -> str:
    """Shorten ``model.optimizer.init_args.lr`` to ``optimizer.lr``, and a class path to the class name."""
    name = value.rpartition(".")[2] if key.endswith(".class_path") else value
    if key.endswith(f".{name}.class_path"):  # keys of lists, such as callbacks, contain the class name
        name = ""
    short = key.removeprefix("model.").removeprefix("trainer.").removesuffix(".class_path")
    return f"{short.replace('.init_args.', '.')} {name}".strip()


def columns(groups: Sequence[Group]) -> tuple[Column, ...]:
    """Return our columns, and one for each validation metric that a user's callback has logged."""
    logged = {name for group in groups for run in group.runs for name in run.fit["best"] if "val/" in name}
    own = (Column(name, name, ("fit", "best", name), digits=4) for name in sorted(logged - {*VALIDATION}))
    return (*COLUMNS, *own)


def rows(comparison: Comparison) -> Rows:
    """Return the table as text, with a heading and without empty columns; folders without results come last."""
    shown = columns(comparison.groups)
    table = [["recipe", "n", *(column.heading for column in shown), "notes"]]
    for group in comparison.groups:
        cells = [column.text(group) for column in shown]
        table.append([group.label, str(len(group.runs)), *cells, "; ".join(group.notes)])
    for path, problem in comparison.problems:
        table.append([one_line(str(path)), *[""] * (len(shown) + 1), problem])
    return [list(row) for row in zip(*(column for column in zip(*table) if set(column[1:]) - {"–", ""}))]


def differences(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Compare each recipe with the first one, in every metric that is a fraction of images.

    Uses Welch's test over seeds. Compares single runs image by image, if ``predict`` has written both predictions.
    """
    found = []
    for column in (column for column in COLUMNS if column.scale == 100):
        for group in groups[1:]:
            samples = [column.values(each) for each in (group, groups[0])]
            chosen_by = SPLIT if column.name.startswith("val") else IMAGES
            images = {  # which ones, and how many: a limit_ setting may lower the number
                (
                    *map(each.runs[0].settings.get, chosen_by),
                    frozenset(Column("", "", (*column.place[:-1], "images")).values(each)),
                )
                for each in (group, groups[0])
            }
            if not all(samples) or len(images) > 1:
                continue
            right = [_right(column, each) for each in (group, groups[0])]
            if by_image := bool(right[0]) and right[0].keys() == right[1].keys():
                result = paired(*([each[image] for image in right[0]] for each in right))
            else:
                result = difference(*samples)
            over = f"{len(right[0])} images" if by_image else " and ".join(str(len(each)) for each in samples)
            low, high = result.interval or (None, None)
            names = {"recipe": group.label, "against": groups[0].label, "metric": column.heading.removesuffix(", %")}
            found.append({**names, "difference": result.value, "low": low, "high": high, "p": result.p, "n": over})
    return found


def _right(column: Column, group: Group) -> dict[str, bool]:
    """Return for each test image whether a recipe's only run classifies it correctly; empty if that is unknown."""
    if not column.name.startswith("test") or len(group.runs) > 1:
        return {}
    right = read_predictions(group.runs[0].run_dir)
    # Otherwise the predictions are another checkpoint's, or averaged over other views.
    return right if right and isclose(mean(right.values()), column.values(group)[0], abs_tol=1e-6) else {}


def difference_rows(found: Sequence[dict[str, Any]]) -> Rows:
    """Return differences as text, with a heading."""
    table = [["recipe", "against", "metric", "difference, points", "95 % interval", "p", "n"]]
    for row in found:
        interval = "–" if row["low"] is None else f"{points(row['low'])} to {points(row['high'])}"
        p = "–" if row["p"] is None else f"{row['p']:.2g}"
        table.append([row["recipe"], row["against"], row["metric"], points(row["difference"]), interval, p, row["n"]])
    return table


def class_rows(groups: Sequence[Group]) -> Rows:
    """Return the F1 score of each class on the test images, in percent, for recipes that were tested."""
    tested = [(group, run.tests["none"]) for group in groups for run in group.runs if "none" in run.tests]
    names = dict.fromkeys(name for _, metrics in tested for name in metrics.get("classes") or {})
    by_class = [Column(name, name, ("tests", "none", "classes", name, "f1"), 100) for name in names]
    shown = {id(group): [group.label, *(column.text(group) for column in by_class)] for group, _ in tested}
    return [["F1, %", *names], *shown.values()]


def run_records(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the results of each run as numbers, in seconds and fractions of images: one record for each run."""
    shown = columns(groups)
    return [
        {
            "recipe": group.label,
            "seed": run.fit["seed"],
            "run": str(run.run_dir),
            **{each.name: each.of(run) for each in shown},
        }
        for group in groups
        for run in group.runs
    ]


def curve_records(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the curves of each run as numbers: one record for each epoch."""
    records = []
    for label, run in [(group.label, run) for group in groups for run in group.runs]:
        curves = {tag: read_curve(run.run_dir, tag) for tag in ("train/loss", "train/accuracy", *VALIDATION)}
        for epoch in sorted(set().union(*curves.values())):
            values = {tag: curve.get(epoch) for tag, curve in curves.items()}
            records.append({"recipe": label, "seed": run.fit["seed"], "epoch": epoch, **values})
    return records
