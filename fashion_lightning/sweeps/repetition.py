"""Fit one recipe with several seeds, each a run of its own, and compare the runs."""

from collections.abc import Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import is_being_trained, lock_recipe
from fashion_lightning.report.comparison_table import compare, print_table
from fashion_lightning.runs.folder import new_run_dir
from fashion_lightning.runs.results import (
    PLACES_AND_DEVICES,
    RunResults,
    has_report,
    read_config,
    read_results,
    recipe_settings,
)
from fashion_lightning.sweeps.fits import Fits, flags_to_continue

FOR_TESTS = (*PLACES_AND_DEVICES, "trainer.enable_progress_bar", "trainer.limit_test_batches")


class Repetition:
    """All seeds of one recipe.

    Args:
        name: of the recipe.
        config: every setting of its fit, as plain values.
        fit_options: what the user typed for ``fit``.
        test: also run ``test`` on each best checkpoint, with and without test-time augmentation: the
            recipe's kind, else flip averaging.
    """

    def __init__(self, name: str, config: dict[str, Any], fit_options: Sequence[str], test: bool) -> None:
        self.name, self.config, self.fit_options, self.test = name, config, list(fit_options), test
        self.recipe = recipe_settings(config)
        self.tta = "flip" if config["model"]["tta"] == "none" else config["model"]["tta"]
        self.folder = Path(config["trainer"]["default_root_dir"]) / name

    def run_of(self, seed: int) -> Path | None:
        """Return the run folder of this recipe with this seed that got furthest; it may still be trained."""
        candidates = []
        for run_dir in self.folder.glob("version_*"):
            try:
                config = read_config(run_dir)
            except UserError:
                continue
            if config["seed_everything"] == seed and recipe_settings(config) == self.recipe:
                has_checkpoint = any(run_dir.glob("checkpoints/*.ckpt"))
                candidates.append(([has_report(run_dir), is_being_trained(run_dir), has_checkpoint], run_dir))
        furthest = max(candidates, default=None)
        return furthest[1] if furthest and any(furthest[0]) else None

    def has_tests(self, results: RunResults) -> bool:
        """Check whether a run has every test that was asked for."""
        return not self.test or {"none", self.tta} <= results.tests.keys()

    def is_done(self, seed: int) -> bool:
        """Check whether nothing is left to be run for a seed."""
        run_dir = self.run_of(seed)
        try:
            return run_dir is not None and self.has_tests(read_results(run_dir))
        except UserError:
            return False

    def fit_command(self, seed: int, run_dir: Path) -> list[str]:
        """Return the command that begins a run, or goes on with it."""
        if not any(run_dir.glob("checkpoints/*.ckpt")):
            return ["fit", *self.fit_options, f"--seed_everything={seed}"]
        return ["fit", "--ckpt_path", str(run_dir), *flags_to_continue(self.config)]

    def train(self, seed: int, fits: Fits) -> None:
        """Run what is missing for a seed.

        Raises:
            UserError: a command failed, or the run has no results.
        """
        label, run_dir = f"seed {seed}", self.run_of(seed)
        if run_dir is not None:
            fits.wait_for_others(label, run_dir)
            run_dir = self.run_of(seed)  # it may have come to nothing
        run_dir = run_dir or new_run_dir(self.folder.parent, self.name)
        if not has_report(run_dir):
            fits.run(label, self.fit_command(seed, run_dir), run_dir)
        results = read_results(run_dir)
        if not self.has_tests(results):
            flags = [*flags_to_continue(self.config, FOR_TESTS), f"--model.tta={self.tta}"]
            fits.run(label, ["test", "--ckpt_path", str(run_dir), *flags], run_dir)
            results = read_results(run_dir)
        tested = f"   test {100 * results.tests['none']['accuracy']:.2f} %" if "none" in results.tests else ""
        validated = f"validation {100 * results.fit['best']['val/accuracy']:.2f} %"
        fits.end(label, f"{validated}{tested}   {results.fit['fit_seconds']:.0f} s   {run_dir}")


def repeat(
    name: str, config: dict[str, Any], fit_options: Sequence[str], seeds: int, processes: int, test: bool
) -> None:
    """Fit a recipe with seeds 0, 1, 2 and so on, as far as that is missing, and print a table of the runs.

    Args:
        name: of the recipe.
        config: every setting of its fit, as plain values.
        fit_options: what the user typed for ``fit``.
        seeds: how many.
        processes: how many runs at a time.
        test: also test each run.

    Raises:
        UserError: no run would be saved, another ``repeat`` of this recipe runs, or a run failed.
    """
    if config["trainer"]["fast_dev_run"]:
        raise UserError("repeat needs runs that are saved: leave trainer.fast_dev_run out.")
    repetition = Repetition(name, config, fit_options, test)
    repetition.folder.mkdir(parents=True, exist_ok=True)
    lock_recipe(repetition.folder)
    missing = [seed for seed in range(seeds) if not repetition.is_done(seed)]
    failures = []
    fits = Fits(processes)
    with fits.pool(processes, f"{name}: {seeds} seeds", seeds, seeds - len(missing)) as pool:
        futures = {pool.submit(repetition.train, seed, fits): f"seed {seed}" for seed in missing}
        for future in as_completed(futures):
            try:
                future.result()
            except UserError as error:
                failures.append(f"{futures[future]}: {error}")
                fits.end(futures[future], str(error))
    print_table(compare([run for seed in range(seeds) if (run := repetition.run_of(seed)) is not None]))
    if failures:
        raise UserError(f"{'; '.join(failures).rstrip('.')}. The same command repeats what is missing.")
