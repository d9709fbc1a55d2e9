"""What ``COMMAND --help`` prints: one screen, with examples, and without torch."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from fashion_lightning.cli.flags import FLAGS

WIDTH, COLUMN = 80, 23
"""Characters of a line, and where the meaning of an option begins."""

Rows = Sequence[tuple[str, str]]


class Page(NamedTuple):
    """The help of one command."""

    usage: str
    about: str
    examples: Rows
    """Command lines without the program's name, and what they do."""
    options: Rows
    settings: str = ""
    """The heading of the settings with short names; none are shown without."""
    closing: str = ""


CONFIG = ("--config RECIPE", "a recipe or preset by name, or a YAML file of settings; several add up, the later wins")
RUN = "a run folder; quick for the newest run of that recipe; a run's --name; or a checkpoint file"
HELP = ("--help, --help_all", "this page; every setting there is")
OTHERS = (
    "Every other setting is a flag too, as it stands in a recipe: --data.val_size 0.1,"
    " --model.optimizer.init_args.weight_decay 0.05. --help_all lists them; `fashion-lightning list`, recipes and runs."
)

FIT = Page(
    "fit [--config RECIPE]... [--ckpt_path RUN] [options]",
    "Train a network, or train a run further. Without options, the default recipe, cnn.",
    (
        ("fit --config quick", "a recipe by name"),
        ("fit --config quick --epochs 5 --lr 0.04", "other settings"),
        ("fit --config my_recipe.yaml --seed 1", "your own settings"),
        ("fit --config cnn --config presets/debug", "a few batches only"),
        ("fit --ckpt_path quick --epochs 9", "train it longer"),
    ),
    (
        CONFIG,
        ("--ckpt_path RUN", f"continue this run in its folder: {RUN}"),
        ("--name, --note TEXT", "what you call the run, and a line on it; `fashion-lightning list` shows both"),
        HELP,
    ),
    "settings (of a recipe, or of the run that is continued, unless typed)",
    OTHERS,
)


def _evaluation(command: str, about: str, extra: Rows = (), options: Rows = ()) -> Page:
    return Page(
        f"{command} --ckpt_path RUN [options]",
        about,
        ((f"{command} --ckpt_path quick", "its newest run"), *extra),
        (("--ckpt_path RUN", f"its best checkpoint: {RUN}"), *options, CONFIG, HELP),
        "settings (of the run, unless typed)",
        "Every setting of the run is a flag too, as it stands in its config.yaml. --help_all lists them;"
        " `fashion-lightning list`, your runs.",
    )


FOLDER = "--ckpt_path tensorboard_logs/cnn/version_0"

PAGES = {
    "fit": FIT,
    "validate": _evaluation(
        "validate",
        "Measure a checkpoint on the validation images, which its training chose it by.",
        ((f"validate {FOLDER}", ""),),
    ),
    "test": _evaluation(
        "test",
        "Measure a checkpoint on the 10,000 test images.",
        (("test --ckpt_path quick --tta flip", "mirror images too"), (f"test {FOLDER}", "")),
    ),
    "predict": _evaluation(
        "predict",
        "Write classes and probabilities as CSV, of the test images or of your own.",
        (("predict --ckpt_path quick --images photos --output my.csv", ""),),
        (
            ("--output FILE", "the .csv or .json file; in the run folder by default"),
            ("--preview FILE", "a .png file: your pictures beside what the network saw of them"),
        ),
    ),
    "repeat": Page(
        "repeat [--config RECIPE]... [--seeds N] [options]",
        "Fit one recipe with several seeds, each a run of its own, and compare them. Finished runs are not run"
        " again and interrupted ones go on: type the same command until all are there.",
        (
            ("repeat --config quick", "five seeds"),
            ("repeat --config quick --seeds 10 --test", "ten, tested"),
            ("repeat --config quick --lr 0.04 --processes 2", "two at once"),
        ),
        (
            CONFIG,
            ("--seeds N", "fit with the seeds 0 to N-1; 5 by default"),
            ("--processes N", "how many at a time, which share the threads; 1 by default"),
            ("--test", "also test each best checkpoint, with and without test-time augmentation"),
            ("--name, --note TEXT", "of each run, as for fit"),
            HELP,
        ),
        "settings (of the recipe, unless typed)",
        OTHERS,
    ),
    "sweep": Page(
        "sweep --space FILE [--config RECIPE]... [options]",
        "Search a recipe's settings for better ones. Each trial is a fit with a run folder of its own, judged on the"
        " validation images. Type the same command to go on, also at once on several machines.",
        (
            ("sweep --config quick --space my.yaml", "20 trials"),
            ("sweep --config quick --space my.yaml --trials 50", "more"),
        ),
        (
            CONFIG,
            ("--space FILE", "what is searched: lines as `lr: {low: 0.001, high: 0.1, log: true}` or"
             " `batch_size: {choices: [64, 128]}`"),
            ("--trials N", "in all, those that are done among them; 20 by default"),
            ("--processes N", "how many at a time, which share the threads; 1 by default"),
            ("--seeds N", "runs of each trial, which is judged by their mean; 1 by default"),
            ("--sampler HOW", "tpe, by the trials so far, or random"),
            ("--pruner HOW", "median, which ends trials that are worse than most, or none"),
            ("--study NAME", "of the study and its folder of runs; RECIPE_sweep by default"),
            ("--storage URL", "a database that all machines reach, as postgresql://user@host/name"),
            HELP,
        ),
        "settings (of the recipe, unless typed)",
        OTHERS,
    ),
    "compare": Page(
        "compare RUN... [--output FOLDER]",
        "A table and learning curves of runs that are there: mean ± standard deviation over seeds.",
        (
            ("compare quick cnn", "two recipes"),
            ("compare tensorboard_logs/cnn/version_[0-4]", ""),
            ("compare quick cnn --output comparison", "as files too"),
        ),
        (
            ("RUN", "a run folder, a folder of runs, a glob, or a recipe's name"),
            ("--output FOLDER", "write the table as Markdown and CSV, each run's metrics, and a picture of the curves"),
            ("--help", "this page"),
        ),
    ),
    "export": Page(
        "export --ckpt_path RUN --output FILE [options]",
        "Write a trained classifier as one file that runs without this package: uint8 images in, probabilities out."
        " It is kept only if it classifies as the checkpoint does.",
        (
            ("export --ckpt_path quick --output quick.onnx", ""),
            ("export --ckpt_path quick --output quick.pt2", "for torch"),
            ("export --ckpt_path quick --output quick.html", "a page to mail"),
        ),
        (
            ("--ckpt_path RUN", f"its best checkpoint: {RUN}"),
            ("--output FILE", "the suffix decides: .onnx, .pt2 or .html"),
            ("--network CLASS", "import path of a network of your own"),
            ("--data.root FOLDER", "where the data lie that the file is checked with"),
            ("--help", "this page"),
        ),
        "settings (of the run, unless typed)",
    ),
    "serve": Page(
        "serve --ckpt_path RUN [options]",
        "Open a page on which a picture is dropped, pasted, photographed or drawn, and classified as it changes; and an"
        " endpoint for programs, which /openapi.json describes.",
        (
            ("serve --ckpt_path quick", "for this machine"),
            ("serve --ckpt_path quick --host 0.0.0.0", "for phones, too"),
        ),
        (
            ("--ckpt_path RUN", f"its best checkpoint: {RUN}"),
            ("--host ADDRESS", "where it listens; 127.0.0.1 by default, this machine only. There is no password"),
            ("--port N", "8000 by default, 0 for a free one"),
            ("--network CLASS", "import path of a network of your own"),
            ("--help", "this page"),
        ),
    ),
    "list": Page(
        "list [FOLDER]",
        "Show the recipes, with their cost and accuracy, and the runs in tensorboard_logs: how far each is, its"
        " accuracy, its name and note.",
        (("list", "recipes, presets and runs"), ("list my_runs", "runs that are kept elsewhere")),
        (("FOLDER", "where runs are kept; tensorboard_logs by default"), ("--help", "this page")),
    ),
    "completion": Page(
        "completion bash|zsh|fish",
        "Print a script with which the shell completes commands, recipes, runs and settings.",
        (
            ('eval "$(fashion-lightning completion bash)"', "in ~/.bashrc"),
            ('eval "$(fashion-lightning completion zsh)"', "in ~/.zshrc, after compinit"),
            ("fashion-lightning completion fish | source", "in config.fish"),
        ),
        (("--help", "this page"),),
    ),
}  # fmt: skip


def page(command: str) -> str:
    """The help of a command: at most 45 lines of 80 characters."""
    usage, about, examples, options, settings, closing = PAGES[command]
    lines = [
        f"usage: fashion-lightning {usage}",
        "",
        *textwrap.wrap(about, WIDTH),
        "",
        "examples:",
        *_examples(examples),
    ]
    lines += ["", "options:", *_rows(options)]
    if settings:
        flags = [(f"{flag.short} {flag.value}", flag.meaning) for flag in FLAGS if command in flag.commands]
        lines += ["", f"{settings}:", *_rows(flags)]
    if closing:
        lines += ["", *textwrap.wrap(closing, WIDTH, break_on_hyphens=False, break_long_words=False)]
    return "\n".join(lines) + "\n"


def _examples(examples: Rows) -> list[str]:
    typed = [(line if "fashion-lightning" in line else f"fashion-lightning {line}", what) for line, what in examples]
    widest = max(len(line) for line, what in typed if what)
    return [f"  {line:{widest}}  {what}".rstrip() for line, what in typed]


def _rows(rows: Rows) -> list[str]:
    lines = []
    for option, meaning in rows:
        wrapped = textwrap.wrap(meaning, WIDTH - COLUMN, break_on_hyphens=False)
        if len(option) > COLUMN - 3:
            lines.append(f"  {option}")
            option = ""
        lines += [f"  {start:{COLUMN - 2}}{part}" for start, part in zip([option, *[""] * len(wrapped)], wrapped)]
    return lines


def short_names() -> str:
    """Every short name and the setting that it stands for."""
    return "short names:\n" + "".join(f"  {flag.short:16}{flag.long}\n" for flag in FLAGS)
