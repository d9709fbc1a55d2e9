"""``repeat`` and ``sweep``: run many fits of one recipe, each as an ordinary ``fit`` in a child process.

``repeat`` varies the seed. Runs trained one at a time get the same weights as ``fit --seed SEED``, to the bit; runs at
the same time have fewer threads each, which changes the last bits of sums. ``sweep`` varies settings and
compares trials by the recipe's metric on the validation images. Both skip finished runs and continue interrupted ones:
type the same command until all are finished.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.commands import SHORT_NAMES
from fashion_lightning.cli.deploy import need_packages
from fashion_lightning.cli.messages import silence_what_is_not_news
from fashion_lightning.cli.parser import parse, unknown_flag
from fashion_lightning.data import split
from fashion_lightning.errors import UserError
from fashion_lightning.files.names import check_name
from fashion_lightning.runs.processes import leave_launcher
from fashion_lightning.runs.results import flattened
from fashion_lightning.sweeps import fits


def repeat(given: Namespace, fit_options: Sequence[str]) -> None:
    """Fit a recipe with several seeds."""
    if given.folds and (given.seeds or any(option.startswith("--data.fold=") for option in fit_options)):
        raise UserError("--folds trains one fit for each fold, with a seed of its own: leave --seeds and --fold out.")
    name, config = fit_settings([*fit_options, *([f"--data.fold=1/{given.folds}"] if given.folds else [])])
    fits.repeat(name, config, fit_options, given.folds or given.seeds or 5, given.processes, given.test, given.folds)


def sweep(given: Namespace, fit_options: Sequence[str]) -> None:
    """Search a space of settings, after checking its corners as ``fit`` would."""
    need_packages("sweep", ("optuna",))
    from fashion_lightning.sweeps import search
    from fashion_lightning.sweeps.space import corners, read_space

    space = read_space(Path(given.space).expanduser(), SHORT_NAMES)
    if typed_too := sorted({option.partition("=")[0].removeprefix("--") for option in fit_options} & space.keys()):
        raise UserError(f"{typed_too[0]} is both in {given.space} and typed: leave one of them out.")
    recipe, config = fit_settings(fit_options, to_choose=True)
    known = dict(flattened(config))
    for key in space:
        if not any(f"{setting}.".startswith(f"{key}.") for setting in known):
            raise UserError(f"{given.space}: {unknown_flag(f'--{key}', {f'--{setting}' for setting in known})}")
    name = check_name(given.study or f"{recipe}_sweep", "The study")
    try:
        for values in corners(space):
            fit_settings([*fit_options, *fits.as_flags(values)])
    except UserError as error:
        raise UserError(f"{given.space}: {error}") from error
    search.sweep(name, config, space, given.trials, given.processes, given.pruner, given.storage)


def fit_settings(options: Sequence[str], to_choose: bool = False) -> tuple[str, dict[str, Any]]:
    """Build all that ``fit`` would build from these options, except a run folder.

    Args:
        options: of ``fit``.
        to_choose: whether the validation images will choose settings.

    Returns:
        The recipe's name, and all settings as plain values.

    Raises:
        UserError: ``fit`` would refuse these options, one of them is for single runs only, or there are too few
            validation images.
    """
    refused = {"--seed_everything", "--ckpt_path"} | ({"--weights", "--name", "--note"} if to_choose else set())
    for name in {option.partition("=")[0] for option in options} & refused:
        command = "sweep trains from scratch, chooses seeds and names," if to_choose else "repeat chooses seeds"
        raise UserError(f"{command} and continues runs by itself: leave {name} out.")
    silence_what_is_not_news()
    leave_launcher()
    given, settings = parse("fit", options)
    built = FashionMNISTCLI(given, *complete(given, settings), makes_run_folder=False)
    config = built.plain_config
    if config["trainer"]["fast_dev_run"]:
        raise UserError("repeat and sweep need runs that are saved: leave trainer.fast_dev_run out.")
    images = len(built.datamodule.val_set)
    if images < (split.ENOUGH_TO_CHOOSE if to_choose else 1):
        raise UserError(f"{images} validation images are too few to compare runs by: give --data.val_size 5000.")
    return built.name, config
