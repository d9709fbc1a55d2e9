"""What ``repeat`` has to do for each seed: a new fit, the rest of one, a test, or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import is_being_trained
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import (
    OBSERVATION,
    PLACES_AND_DEVICES,
    has_report,
    read_config,
    read_results,
    recipe_settings,
)
from fashion_lightning.sweeps.jobs import Job, Say, Work, as_typed


@dataclass(kw_only=True, eq=False)
class SeedJob(Job):
    """One seed on its way through ``fit`` and perhaps ``test``."""

    seed: int
    elsewhere: bool = False
    """Whether another process was seen to train it."""


class Repetition(Work[SeedJob]):
    """All seeds of one recipe.

    Args:
        name: of the recipe.
        config: every setting of its fit, as plain values.
        fit_options: what the user typed for ``fit``.
        seeds: how many; 0, 1, 2 and so on.
        test: also run ``test`` on each best checkpoint, with and without test-time augmentation: that of
            the recipe, else flip averaging.

    Raises:
        UserError: no run would be saved.
    """

    kind = "seeds"

    def __init__(self, name: str, config: dict[str, Any], fit_options: Sequence[str], seeds: int, test: bool) -> None:
        if config["trainer"]["fast_dev_run"]:
            raise UserError("repeat needs runs that are saved: leave trainer.fast_dev_run out.")
        self.name, self.config, self.fit_options, self.test = name, config, list(fit_options), test
        self.recipe = recipe_settings(config)
        self.tta = "flip" if config["model"]["tta"] == "none" else config["model"]["tta"]
        self.folder = Path(config["trainer"]["default_root_dir"]) / name
        self.jobs = [SeedJob(label=f"seed {seed}", seed=seed, run_dir=self.run_of(seed)) for seed in range(seeds)]
        for job in self.jobs:
            job.done = self.next_command(job) is None
        self.waiting = [job for job in self.jobs if not job.done]

    def run_of(self, seed: int) -> Path | None:
        """The run folder of this recipe with this seed that got furthest; also one that is being trained."""
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

    def take(self, say: Say) -> SeedJob | None:
        """The next seed that no other process trains."""
        for job in self.waiting:
            if job.elsewhere and job.run_dir is not None and is_being_trained(job.run_dir):
                continue
            job.run_dir, job.elsewhere = self.run_of(job.seed), False
            if job.run_dir is not None and is_being_trained(job.run_dir):
                job.elsewhere = True
                progress = read_progress(job.run_dir)
                process = f"process {progress.pid}" if progress else "another process"
                say(f"{job.label}   waits for {process}, which trains it in {job.run_dir}")
                continue
            self.waiting.remove(job)
            return job
        return None

    def is_empty(self) -> bool:
        """Whether all seeds were taken."""
        return not self.waiting

    def next_command(self, job: SeedJob) -> list[str] | None:
        """What is still to be done for a seed.

        Raises:
            UserError: its run has a report, but one without metrics.
        """
        job.run_dir = job.run_dir or self.run_of(job.seed)
        if job.run_dir is None:
            return ["fit", *self.fit_options, "--seed_everything", str(job.seed)]
        if not has_report(job.run_dir):
            return ["fit", "--ckpt_path", str(job.run_dir), *as_typed(self.config, *PLACES_AND_DEVICES, *OBSERVATION)]
        try:
            results = read_results(job.run_dir)
        except UserError as error:  # a run without validation, say
            raise UserError(f"{job.run_dir}: {error}") from error
        if self.test and not {"none", self.tta} <= results.tests.keys():
            flags = as_typed(
                self.config, *PLACES_AND_DEVICES, "trainer.enable_progress_bar", "trainer.limit_test_batches"
            )
            return ["test", "--ckpt_path", str(job.run_dir), *flags, f"--model.tta={self.tta}"]
        return None

    def end(self, job: SeedJob) -> str:
        """What came of a seed."""
        if job.failure:
            return job.failure
        assert job.run_dir is not None
        results = read_results(job.run_dir)  # next_command has read it already
        metrics = [f"validation {100 * results.fit['best']['val/accuracy']:.2f} %"]
        metrics += [f"test {100 * results.tests['none']['accuracy']:.2f} %"] if "none" in results.tests else []
        return f"{job.label}   {'   '.join(metrics)}   {results.fit['fit_seconds']:.0f} s   {job.run_dir}"
