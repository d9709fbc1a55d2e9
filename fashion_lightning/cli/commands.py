"""Every subcommand, declared once: parser, help, completion and "did you mean" are made from this table.

Nothing here imports torch.
"""

from dataclasses import dataclass, replace

from fashion_lightning.cli.options import (
    CKPT_PATH,
    CONFIG,
    EVALUATION,
    HELP,
    HELP_ALL,
    NAME,
    NOTE,
    OWN_NETWORK,
    PASSED_ON,
    RUN,
    SEED,
    TRAINING,
    TTAS,
    Option,
    from_on,
)


@dataclass(frozen=True)
class Command:
    """A subcommand."""

    name: str
    summary: str
    """One line for the overview."""
    usage: str
    about: str
    examples: tuple[tuple[str, str], ...]
    """Command lines without the program's name, and what they do."""
    options: tuple[Option, ...]
    run: str
    """``module:function``, which gets what was parsed and the command line's other arguments."""
    settings: str = ""
    """Where settings come from that are not typed; without it, the command takes none."""
    of_a_run: bool = False
    """Whether it needs ``--ckpt_path``."""


OF_A_RECIPE = (
    "Every other setting is a flag too, as it stands in a recipe: --data.val_size 0.1,"
    " --model.optimizer.init_args.weight_decay 0.05. --help_all lists them; `fashion-lightning list`, recipes and runs."
)
OF_THE_RUN = (
    "Every setting of the run is a flag too, as it stands in its config.yaml. --help_all lists them;"
    " `fashion-lightning list`, your runs."
)
TABLE = (
    Command(
        "fit",
        "train; without options the default recipe, cnn",
        "fit [--config RECIPE]... [--ckpt_path RUN] [options]",
        "Train a network, or train a run further; by default the recipe cnn.",
        (
            ("fit --config quick", "a recipe by name"),
            ("fit --config quick --epochs 5 --lr 0.04", "other settings"),
            ("fit --config my_recipe.yaml --seed 1", "your own settings"),
            ("fit --config cnn --config presets/debug", "a few batches only"),
            ("fit --ckpt_path quick --epochs 9", "train it longer"),
        ),
        (
            CONFIG,
            replace(CKPT_PATH, meaning=f"continue this run in its folder: {RUN}"),
            Option("--weights", "FILE", "start from the weights of a run, or of a file"),
            NAME,
            NOTE,
            Option("--freeze", "", "train the network's last layer alone, with --weights", setting="--model.freeze"),
            Option("--layers", "", "show every layer of the network at the start"),
            SEED,
            *TRAINING,
        ),
        "fit:run",
        "of a recipe, or of the run that is continued",
    ),
    Command(
        "validate",
        "measure a checkpoint on the 5,000 validation images",
        "validate --ckpt_path RUN [options]",
        "Measure a checkpoint on the validation images, which its training chose it by.",
        (("validate --ckpt_path quick", "its newest run"), ("validate --ckpt_path tensorboard_logs/cnn/version_0", "")),
        (CKPT_PATH, CONFIG, *EVALUATION),
        "fit:run",
        "of the run",
        of_a_run=True,
    ),
    Command(
        "test",
        "measure a checkpoint on the 10,000 test images",
        "test --ckpt_path RUN [options]",
        "Measure a checkpoint on the 10,000 test images.",
        (
            ("test --ckpt_path quick", "its newest run"),
            ("test --ckpt_path quick --tta flip", "mirror images too"),
            ("test --ckpt_path tensorboard_logs/cnn/version_0", ""),
        ),
        (
            CKPT_PATH,
            Option("--output", "FOLDER", "where figures and report are written; the run folder by default"),
            CONFIG,
            *EVALUATION,
        ),
        "fit:run",
        "of the run",
        of_a_run=True,
    ),
    Command(
        "predict",
        "write classes and probabilities as CSV, of test images or yours",
        "predict --ckpt_path RUN [options]",
        "Write classes and probabilities as CSV, of the test images or of your own.",
        (
            ("predict --ckpt_path quick", "its newest run"),
            ("predict --ckpt_path quick --images photos --output my.csv", ""),
        ),
        (
            CKPT_PATH,
            Option("--images", "PATH", "image files, folders or globs, in place of the test images", {"nargs": "+"}),
            Option("--output", "FILE", "the .csv or .json file; in the run folder by default"),
            Option("--preview", "FILE", "a .png file: your pictures beside what the network saw of them"),
            CONFIG,
            *EVALUATION,
        ),
        "fit:run",
        "of the run",
        of_a_run=True,
    ),
    Command(
        "repeat",
        "fit a recipe with several seeds, and compare them",
        "repeat [--config RECIPE]... [--seeds N] [options]",
        "Fit one recipe with several seeds, each a run of its own, and compare them. Finished runs are not run again"
        " and interrupted ones go on: type the same command until all are there.",
        (
            ("repeat --config quick", "five seeds"),
            ("repeat --config quick --seeds 10 --test", "ten, tested"),
            ("repeat --config quick --lr 0.04 --processes 2", "two at once"),
        ),
        (
            PASSED_ON,
            Option("--seeds", "N", "fit with the seeds 0 to N-1; 5 by default", from_on(1, 5)),
            Option("--processes", "N", "how many at a time, sharing the threads; 1 by default", from_on(1, 1)),
            Option("--test", "", "also test each best checkpoint, with and without test-time augmentation"),
            replace(NAME, setting="--name"),
            replace(NOTE, setting="--note"),
            *TRAINING,
        ),
        "many_fits:repeat",
        "of the recipe",
    ),
    Command(
        "sweep",
        "search a recipe's settings for better ones",
        "sweep --space FILE [--config RECIPE]... [options]",
        "Search a recipe's settings for better ones; each trial is a run, judged on validation"
        " images. Type the same command to go on, also on several machines.",
        (
            ("sweep --config quick --space my.yaml", "20 trials"),
            ("sweep --config quick --space my.yaml --trials 50", "more"),
        ),
        (
            PASSED_ON,
            Option(
                "--space",
                "FILE",
                "what is searched: lines as `lr: {low: 0.001, high: 0.1, log: true}` or"
                " `batch_size: {choices: [64, 128]}`",
                {"required": True},
            ),
            Option("--trials", "N", "in all, those that are done among them; 20 by default", from_on(1, 20)),
            Option("--processes", "N", "how many at a time, sharing the threads; 1 by default", from_on(1, 1)),
            Option(
                "--pruner",
                "HOW",
                "median, which ends trials that are worse than most, or none",
                {"default": "median", "choices": ("median", "none")},
            ),
            Option("--study", "NAME", "of the study and its folder of runs; RECIPE_sweep by default"),
            Option("--storage", "URL", "a database that all machines reach, as postgresql://user@host/name"),
            *TRAINING,
        ),
        "many_fits:sweep",
        "of the recipe",
    ),
    Command(
        "compare",
        "a table and learning curves of runs that are there",
        "compare RUN... [--format HOW] [--output FOLDER]",
        "A table and learning curves of runs that are there: mean ± standard deviation over seeds.",
        (
            ("compare quick cnn", "two recipes"),
            ("compare tensorboard_logs/cnn/version_[0-4]", ""),
            ("compare quick cnn --output comparison", "as files too"),
        ),
        (
            Option("runs", "RUN", "a run folder, a folder of runs, a glob, or a recipe's name", {"nargs": "+"}),
            Option("--output", "FOLDER", "write tables, each run's metrics, a picture of the curves and a page there"),
            Option(
                "--format",
                "HOW",
                "print a table (default), markdown, latex, or the numbers of each run: csv, json",
                {"default": "table", "choices": ("table", "markdown", "latex", "csv", "json")},
            ),
        ),
        "listing:compare",
    ),
    Command(
        "export",
        "one file: ONNX, torch.export, safetensors or a page",
        "export --ckpt_path RUN --output FILE [options]",
        "Write a trained classifier as one file that runs without this package: uint8 images in, probabilities out. It"
        " is kept only if it classifies as the checkpoint does.",
        (
            ("export --ckpt_path quick --output quick.onnx", ""),
            ("export --ckpt_path quick --output quick.pt2", "for torch"),
            ("export --ckpt_path quick --output quick.html", "a page to mail"),
            ("export --ckpt_path quick --output quick.safetensors", ""),
        ),
        (
            CKPT_PATH,
            Option("--output", "FILE", "the suffix decides: .onnx, .pt2, .html or .safetensors", {"required": True}),
            Option("--tta", "HOW", "average views: none, flip, flip_shift", {"choices": TTAS}),
            OWN_NETWORK,
            Option("--data.root", "FOLDER", "where the data lie that the file is checked with"),
        ),
        "deploy:export",
        of_a_run=True,
    ),
    Command(
        "serve",
        "a page to try a classifier on: drop, photograph or draw",
        "serve --ckpt_path RUN [options]",
        "Open a page on which a picture is dropped, pasted, photographed or drawn, and classified as it changes; and an"
        " endpoint for programs, which /openapi.json describes.",
        (
            ("serve --ckpt_path quick", "for this machine"),
            ("serve --ckpt_path quick --host 0.0.0.0", "for phones, too"),
        ),
        (
            CKPT_PATH,
            Option(
                "--host",
                "ADDRESS",
                "where it listens; 127.0.0.1 by default, this machine only. There is no password",
                {"default": "127.0.0.1"},
            ),
            Option("--port", "N", "8000 by default, 0 for a free one", from_on(0, 8000)),
            OWN_NETWORK,
        ),
        "deploy:serve",
        of_a_run=True,
    ),
    Command(
        "list",
        "recipes with their cost and accuracy, and the runs that are there",
        "list [FOLDER] [--format HOW]",
        "Show the recipes, with their cost and accuracy, and the runs in tensorboard_logs: how far each is, its"
        " accuracy, its name and note.",
        (("list", "recipes, presets and runs"), ("list my_runs", "runs that are kept elsewhere")),
        (
            Option("folder", "FOLDER", "where runs are kept; tensorboard_logs by default", {"nargs": "?"}),
            Option("--format", "HOW", "table (default), or json", {"default": "table", "choices": ("table", "json")}),
        ),
        "listing:list_runs",
    ),
    Command(
        "completion",
        "a script for Tab in bash, zsh or fish",
        "completion bash|zsh|fish",
        "Print a script with which the shell completes commands, recipes, settings and files.",
        (
            ('eval "$(fashion-lightning completion bash)"', "in ~/.bashrc"),
            ('eval "$(fashion-lightning completion zsh)"', "in ~/.zshrc, after compinit"),
            ("fashion-lightning completion fish | source", "in config.fish"),
        ),
        (Option("shell", "SHELL", "bash, zsh or fish", {"choices": ("bash", "zsh", "fish")}),),
        "parser:print_completion",
    ),
)

COMMANDS = {
    command.name: replace(command, options=(*command.options, HELP, *([HELP_ALL] if command.settings else [])))
    for command in TABLE
}

SWITCHES = {option.name for command in TABLE for option in command.options if option.setting and not option.value}
"""Short names of settings that stand for ``true`` without a value."""

SHORT_NAMES = {option.name: option.setting for command in TABLE for option in command.options if option.setting}
"""The settings that short names stand for: ``--epochs`` is ``--trainer.max_epochs``."""
