"""Declare each subcommand once, without torch; parser, help, completion and "did you mean" are made from this table."""

from dataclasses import dataclass, replace

from fashion_lightning.cli.options import (
    CKPT_PATH,
    CONFIG,
    EVALUATION,
    NAME,
    NOTE,
    OWN_NETWORK,
    PASSED_ON,
    RUN,
    RUNS,
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
    """``module:function``, which gets the parsed options and the settings."""
    settings: str = ""
    """The source of settings that are not typed; empty if the command takes no settings."""
    of_a_run: bool = False
    """Whether it needs ``--ckpt_path``."""


OF_A_RECIPE = (
    "Every other setting of a recipe is a flag too: --data.val_size 0.1, --model.optimizer.init_args.weight_decay 0.05."
    " --help_all lists them. `fashion-lightning list` lists recipes and runs."
)
OF_THE_RUN = (
    "Every setting in the run's config.yaml is a flag too. --help_all lists them. `fashion-lightning list` lists your"
    " runs."
)
TABLE = (
    Command(
        "fit",
        "train a network; without options, with the recipe cnn",
        "fit [--config RECIPE]... [--ckpt_path RUN] [options]",
        "Train a network, or continue a run. The default recipe is cnn.",
        (
            ("fit --config quick", "a recipe by name"),
            ("fit --config quick --epochs 5 --lr 0.04", "other settings"),
            ("fit --config my_recipe.yaml --seed 1", "your own settings"),
            ("fit --config cnn --config presets/debug", "a few batches only"),
            ("fit --ckpt_path quick --epochs 9", "train it longer"),
        ),
        (
            CONFIG,
            replace(CKPT_PATH, meaning=f"run to continue: {RUN}"),
            Option("--weights", "FILE", "start a new run from the weights of a run or a file"),
            NAME,
            NOTE,
            Option("--freeze", "", "train only the last layer, with --weights", setting="--model.freeze"),
            Option("--layers", "", "show every layer of the network at the start"),
            Option("--seed", "N", "the run's seed, 0 by default", setting="--seed_everything"),
            *TRAINING,
        ),
        "fit:run",
        "from the recipe or the continued run",
    ),
    Command(
        "validate",
        "measure a checkpoint on the 5,000 validation images",
        "validate --ckpt_path RUN [options]",
        "Measure a checkpoint on the validation images. It was chosen on them, so figures are slightly too good.",
        (("validate --ckpt_path quick", "its newest run"), ("validate --ckpt_path tensorboard_logs/cnn/version_0", "")),
        (CKPT_PATH, CONFIG, *EVALUATION),
        "fit:run",
        "from the run",
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
            Option("--output", "FOLDER", "folder for metrics and report; the run folder by default"),
            CONFIG,
            *EVALUATION,
        ),
        "fit:run",
        "from the run",
        of_a_run=True,
    ),
    Command(
        "predict",
        "classify the test images or your own, into a CSV file",
        "predict --ckpt_path RUN [options]",
        "Classify the test images or your own, and write classes and probabilities as CSV or JSON.",
        (
            ("predict --ckpt_path quick", "its newest run"),
            ("predict --ckpt_path quick --images photos --output my.csv", ""),
        ),
        (
            CKPT_PATH,
            Option("--images", "PATH", "image files, folders or globs, instead of the test images", {"nargs": "+"}),
            Option("--output", "FILE", "the .csv or .json file to write; by default in the run folder"),
            Option("--preview", "FILE", "a .png file to write: your pictures beside what the network saw"),
            CONFIG,
            *EVALUATION,
        ),
        "fit:run",
        "from the run",
        of_a_run=True,
    ),
    Command(
        "repeat",
        "train a recipe with several random seeds, and compare them",
        "repeat [--config RECIPE]... [--seeds N] [options]",
        "Train one recipe with several random seeds, each as its own run, and compare them. Type the same command again"
        " to continue: it skips finished runs and continues interrupted ones.",
        (
            ("repeat --config quick", "five seeds"),
            ("repeat --config quick --seeds 10 --test", "ten, tested"),
            ("repeat --config quick --lr 0.04 --processes 2", "two at once"),
        ),
        (
            PASSED_ON,
            Option("--seeds", "N", "train with the seeds 0 to N-1; 5 by default", from_on(1, None)),
            Option("--folds", "N", "cross-validation: N fits, each validated on a fold", from_on(2, 0)),
            Option("--processes", "N", "fits to run at a time, sharing threads; 1 by default", from_on(1, 1)),
            Option("--test", "", "also test each best checkpoint, with and without test-time augmentation"),
            replace(NAME, setting="--name"),
            replace(NOTE, setting="--note"),
            *TRAINING,
        ),
        "many_fits:repeat",
        "from the recipe",
    ),
    Command(
        "sweep",
        "search a recipe's settings for better ones",
        "sweep --space FILE [--config RECIPE]... [options]",
        "Search a recipe's settings for better ones. Each trial is a run, judged on validation images. Type the same"
        " command again to continue, also on other machines.",
        (
            ("sweep --config quick --space my.yaml", "20 trials"),
            ("sweep --config quick --space my.yaml --trials 50", "more"),
        ),
        (
            PASSED_ON,
            Option(
                "--space",
                "FILE",
                "a YAML file of settings: `lr: {low: 0.001, high: 0.1, log: true}` or"
                " `batch_size: {choices: [64, 128]}`",
                {"required": True},
            ),
            Option("--trials", "N", "trials in all, finished ones included; 20 by default", from_on(1, 20)),
            Option("--processes", "N", "fits to run at a time, sharing threads; 1 by default", from_on(1, 1)),
            Option(
                "--pruner",
                "HOW",
                "median (stop trials worse than the median), or none",
                {"default": "median", "choices": ("median", "none")},
            ),
            Option("--study", "NAME", "name of the study and of its folder of runs; RECIPE_sweep by default"),
            Option("--storage", "URL", "a database for several machines, such as postgresql://user@host/name"),
            *TRAINING,
        ),
        "many_fits:sweep",
        "from the recipe",
    ),
    Command(
        "compare",
        "compare runs in a table; with --output, also curves",
        "compare RUN... [--format HOW] [--output FOLDER]",
        "Compare runs in a table, as mean ± standard deviation over seeds; with --output, also curves.",
        (
            ("compare quick cnn", "two recipes"),
            ("compare tensorboard_logs/cnn/version_[0-4]", ""),
            ("compare quick cnn --output comparison", "as files too"),
        ),
        (
            Option("run", "RUN", "a run folder, a folder of runs, a glob, or a recipe's name", {"nargs": "+"}),
            Option("--output", "FOLDER", "folder to write: tables, each run's metrics, curves and a page"),
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
        "write one file: ONNX, torch.export, safetensors or a page",
        "export --ckpt_path RUN --output FILE [options]",
        "Write a trained classifier as one file. ONNX, torch.export and the page work without this package: uint8"
        " images in, probabilities out. The file is kept only if it classifies as the checkpoint does.",
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
            Option("--data.root", "FOLDER", "folder of the data set, to check the file with"),
        ),
        "deploy:export",
        of_a_run=True,
    ),
    Command(
        "serve",
        "show a page to try a classifier: drop, photograph or draw",
        "serve --ckpt_path RUN [options]",
        "Serve a page that classifies pictures as you drop, paste, photograph or draw them. Programs send pictures to"
        " an endpoint that /openapi.json describes.",
        (
            ("serve --ckpt_path quick", "for this machine"),
            ("serve --ckpt_path quick --host 0.0.0.0", "for phones, too"),
        ),
        (
            CKPT_PATH,
            Option(
                "--host",
                "ADDRESS",
                "address to listen on; 127.0.0.1 by default, for this machine only. There is no password",
                {"default": "127.0.0.1"},
            ),
            Option("--port", "N", "port to listen on; 8000 by default, 0 chooses a free one", from_on(0, 8000)),
            OWN_NETWORK,
        ),
        "deploy:serve",
        of_a_run=True,
    ),
    Command(
        "list",
        "show recipes with their cost and accuracy, and your runs",
        "list [--runs FOLDER] [--format HOW]",
        "Show the recipes with their cost and accuracy, and your runs with their progress, accuracy, name and note.",
        (("list", "recipes, presets and runs"), ("list --format json", "for a program")),
        (Option("--format", "HOW", "table (default), or json", {"default": "table", "choices": ("table", "json")}),),
        "listing:list_runs",
    ),
    Command(
        "completion",
        "print a script for Tab completion in bash, zsh or fish",
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
    command.name: replace(
        command,
        options=(
            *command.options,
            *([RUNS] if command.name != "completion" else []),
            Option("--help", "", "show this page"),
            *([Option("--help_all", "", "show every setting")] if command.settings else []),
        ),
    )
    for command in TABLE
}

SWITCHES = {option.name for command in TABLE for option in command.options if option.setting and not option.value}
"""Short names of settings that mean ``true`` without a value."""

SHORT_NAMES = {option.name: option.setting for command in TABLE for option in command.options if option.setting}
"""The settings that short names mean: ``--epochs`` is ``--trainer.max_epochs``."""
