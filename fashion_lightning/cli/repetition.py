"""What ``repeat`` has to do for each seed: a new fit, the rest of one, a test, or nothing."""

import json
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fashion_lightning.cli.parent import Children
from fashion_lightning.errors import UserError
from fashion_lightning.runs.lock import is_being_trained
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import NOT_OF_THE_RECIPE, has_report, read_config, read_results, recipe_settings

FOR_EVERY_COMMAND = (
    "data.root",
    "data.num_workers",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.precision",
    "trainer.enable_progress_bar",
    "trainer.default_root_dir",
)
"""Settings that hold for ``test`` and for a run that goes on as they do for a new one: a checkpoint decides no places
and no devices."""

FOR_FIT_ONLY = tuple(
    key
    for key in NOT_OF_THE_RECIPE
    if key not in (*FOR_EVERY_COMMAND, "seed_everything", "ckpt_path", "weights_only", "model.tta", "data.images")
)
"""In which runs of one recipe may differ, so that the run may have begun with others than were typed now."""

FOR_TEST_ONLY = ("trainer.limit_test_batches",)


@dataclass
class Job:
    """One seed on its way through ``fit`` and perhaps ``test``."""

    seed: int
    run_dir: Path | None
    command: list[str] = field(default_factory=list)
    """What its process was started with, without the program."""
    process: "subprocess.Popen[bytes] | None" = None
    output: IO[bytes] | None = None
    """What its process prints: a file without a name, of which nothing is left behind."""
    already: float = 0.0
    """Fraction of its way that an earlier command had trained."""
    progress: float = 0.0
    """Fraction of its way that is trained."""
    done: bool = False
    elsewhere: bool = False
    """Whether another process was seen to train it."""

    def start(
        self, children: Children, program: Sequence[str], command: list[str], environment: Mapping[str, str]
    ) -> None:
        """Start its next command."""
        self.close()
        self.command = command
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - the process writes there while this one goes on
        self.process = children.start([*program, *command], environment, self.output, subprocess.STDOUT)

    def close(self) -> None:
        """Forget what its process has printed."""
        if self.output is not None:
            self.output.close()

    def complaint(self) -> str:
        """The last line that its process wrote, which is the error's; or the signal that ended it."""
        assert self.process is not None
        assert self.output is not None
        if self.process.returncode < 0:
            return f"it was ended by {signal.Signals(-self.process.returncode).name}"
        self.output.seek(0)
        lines = self.output.read().decode(errors="replace").strip().splitlines() or [""]
        return lines[-1].removeprefix("error: ")


class Repetition:
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

    def __init__(self, name: str, config: dict[str, Any], fit_options: Sequence[str], seeds: int, test: bool) -> None:
        if config["trainer"]["fast_dev_run"]:
            raise UserError("repeat needs runs that are saved: leave trainer.fast_dev_run out.")
        self.name, self.config, self.fit_options, self.test = name, config, list(fit_options), test
        self.recipe = recipe_settings(config)
        self.tta = "flip" if config["model"]["tta"] == "none" else config["model"]["tta"]
        self.folder = Path(config["trainer"]["default_root_dir"]) / name
        self.jobs = [Job(seed, self.run_of(seed)) for seed in range(seeds)]

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

    def folder_of_process(self, pid: int) -> Path | None:
        """The run folder that a process trains in, once it has begun."""
        for run_dir in self.folder.glob("version_*"):
            progress = read_progress(run_dir)
            # A process of an earlier day may have had the same number.
            if progress is not None and progress.pid == pid and is_being_trained(run_dir):
                return run_dir
        return None

    def next_command(self, job: Job) -> list[str] | None:
        """What is still to be done for a seed.

        Raises:
            UserError: its run has a report, but one without metrics.
        """
        if job.run_dir is None:
            return ["fit", *self.fit_options, "--seed_everything", str(job.seed)]
        if not has_report(job.run_dir):
            return ["fit", "--ckpt_path", str(job.run_dir), *self._flags(*FOR_EVERY_COMMAND, *FOR_FIT_ONLY)]
        try:
            results = read_results(job.run_dir)
        except UserError as error:  # a run without validation, say
            raise UserError(f"{job.run_dir}: {error}") from error
        if self.test and not {"none", self.tta} <= results.tests.keys():
            flags = self._flags(*FOR_EVERY_COMMAND, *FOR_TEST_ONLY)
            return ["test", "--ckpt_path", str(job.run_dir), *flags, f"--model.tta={self.tta}"]
        return None

    def _flags(self, *keys: str) -> list[str]:
        """Settings as they would be typed."""
        flags = []
        for key in keys:
            value: Any = self.config
            for part in key.split("."):
                value = value[part]
            flags.append(f"--{key}={value if isinstance(value, str) else json.dumps(value)}")
        return flags
