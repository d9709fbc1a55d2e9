"""``fashion-lightning sweep``: search a recipe's settings, each trial a run of its own.

A trial is a process of the ordinary ``fit`` command, judged by its recipe's own metric on the validation images. The
same command goes on where it was interrupted; several machines can share one study.
"""

from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from fashion_lightning.cli.commands import SHORT_NAMES
from fashion_lightning.cli.fit_settings import fit_settings
from fashion_lightning.cli.repeat import refuse_options_of_a_run
from fashion_lightning.errors import UserError
from fashion_lightning.files.names import check_name

PACKAGES = ("optuna", "plotly")
"""What this command alone needs: the extra ``sweep``."""


def run(given: Namespace, fit_options: Sequence[str]) -> None:
    """Search a space, after its corners were checked as ``fit`` does.

    Raises:
        UserError: the options or the space cannot be used, the study is another one's, its database cannot be used,
            or a trial failed.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(f"sweep needs packages that are not installed: pip install {' '.join(missing)}")
    from fashion_lightning.sweeps.fits import as_flags
    from fashion_lightning.sweeps.search import sweep
    from fashion_lightning.sweeps.space import corners, read_space

    refuse_options_of_a_run(fit_options, "each trial has the seeds 0 and on")
    space = read_space(Path(given.space), SHORT_NAMES)
    if typed_too := sorted({option.partition("=")[0].removeprefix("--") for option in fit_options} & space.keys()):
        raise UserError(f"{typed_too[0]} is searched in {given.space}, and typed as well: leave one of them out.")
    recipe, config = fit_settings(fit_options)
    name = check_name(given.study or f"{recipe}_sweep", "The study")
    try:
        for values in corners(space):
            fit_settings([*fit_options, *as_flags(values)])
    except UserError as error:
        raise UserError(f"{given.space}: {error}") from error
    labels = {label: text for label in ("name", "note") if (text := getattr(given, label)) is not None}
    how = {option: getattr(given, option) for option in ("processes", "seeds", "sampler", "pruner", "storage")}
    sweep(name, config, space, given.trials, labels=labels, **how)
