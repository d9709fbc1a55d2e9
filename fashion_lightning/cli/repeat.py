"""``fashion-lightning repeat``: one recipe with several seeds, each a run of its own.

Every run is a process of the ordinary ``fit`` command. One at a time, it ends with the weights that ``fit
--seed_everything SEED`` gives alone, to the bit; several at a time share the threads, and sums by another
number of threads differ in their last bits. A run keeps the number of threads that it began with. Finished
runs are not run again and interrupted ones go on: type the same command until all seeds are there.
"""

from argparse import Namespace
from collections.abc import Sequence

from fashion_lightning.cli.fit_settings import fit_settings
from fashion_lightning.errors import UserError
from fashion_lightning.sweeps.repetition import repeat


def run(given: Namespace, fit_options: Sequence[str]) -> None:
    """Fit a recipe with several seeds.

    Raises:
        UserError: the options cannot be used, another ``repeat`` of this recipe runs, or a run failed.
    """
    refuse_options_of_a_run(fit_options, f"the seeds are 0 to {given.seeds - 1}")
    repeat(*fit_settings(fit_options), fit_options, given.seeds, given.processes, given.test)


def refuse_options_of_a_run(fit_options: Sequence[str], seeds: str) -> None:
    """Refuse options of a single run, which ``repeat`` and ``sweep`` choose by themselves.

    Raises:
        UserError: naming the option.
    """
    reasons = {"--seed_everything": seeds, "--ckpt_path": "the runs to continue are found without it"}
    for option in fit_options:
        if reason := reasons.get(option.partition("=")[0]):
            raise UserError(f"{reason}: leave {option.partition('=')[0]} out.")
