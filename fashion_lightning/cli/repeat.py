"""``fashion-lightning repeat``: one recipe with several seeds, each a run of its own.

Every run is a process of the ordinary ``fit`` command. One at a time, it ends with the weights that ``fit
--seed_everything SEED`` gives alone, to the bit; several at a time share the threads, and sums by another
number of threads differ in their last bits. A run keeps the number of threads that it began with. Runs
that are finished are not run again, and interrupted ones are continued: the same command may be typed
until all seeds are there.
"""

from argparse import Namespace
from collections.abc import Sequence

from rich.console import Console

from fashion_lightning.children import Children
from fashion_lightning.cli.fit_settings import fit_settings
from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import lock_recipe
from fashion_lightning.report.comparison_table import compare, print_table
from fashion_lightning.sweeps.jobs import Runner
from fashion_lightning.sweeps.repetition import Repetition


def run(given: Namespace, fit_options: Sequence[str]) -> None:
    """Fit a recipe with several seeds.

    Raises:
        UserError: the options cannot be used, another ``repeat`` of this recipe runs, or a run failed.
    """
    typed = {option.partition("=")[0] for option in fit_options}
    for option, reason in (
        ("--seed_everything", f"the seeds are 0 to {given.seeds - 1}: leave --seed_everything out."),
        ("--ckpt_path", "repeat finds the runs to continue by itself: leave --ckpt_path out."),
    ):
        if option in typed:
            raise UserError(reason)
    name, config = fit_settings(fit_options)
    with Children() as children:
        repetition = Repetition(name, config, fit_options, given.seeds, given.test)
        repetition.folder.mkdir(parents=True, exist_ok=True)
        lock_recipe(repetition.folder)
        Runner(repetition, given.processes, children, Console(soft_wrap=True)).run()
    print_table(compare([job.run_dir for job in repetition.jobs if job.run_dir is not None]))
    if failures := [job.failure for job in repetition.jobs if job.failure]:
        raise UserError(f"{'; '.join(failures)}. The same command repeats what is missing.")
