"""Remove each workaround for a fault in a library, and check that a test then fails.

    python -m tests.without_workarounds [part of a fault's text]

The code describes each fault beside its workaround; numbers are those of Lightning's issues. A test that passed without
its workaround would guard nothing; once upstream fixes a fault, the test passes here, and the workaround can go. Each
entry runs on a copy of the checkout.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT


@dataclass(frozen=True)
class Workaround:
    """A workaround as text to replace, and the tests that guard it."""

    fault: str
    file: str
    text: str
    instead: str
    tests: str
    """File, and words for pytest's ``-k``."""


WORKAROUNDS = (
    Workaround(
        "no generator state is saved: dropout diverges",
        "callbacks/exact_resume.py",
        "torch.default_generator.manual_seed(seed)",
        "seed",
        "test_exact_resume.py same_bits and true",
    ),
    Workaround(
        "no generator state is saved: the order of images is another",
        "data/batches.py",
        'generator(self.seed, "order", self.epoch)',
        "torch.default_generator",
        "test_exact_resume.py same_bits and true",
    ),
    Workaround(
        "no generator state is saved: augmentation diverges",
        "data/augment.py",
        'generator(self.seed, "augment", epoch, batch_idx)',
        "torch.default_generator",
        "test_augment.py",
    ),
    Workaround(
        "a resume in mid-epoch counts batches as done and shows them again",
        "data/datamodule.py",
        "sampler.start_at(self._epoch(), 0 if progress.is_last_batch else done)",
        "sampler.start_at(self._epoch(), 0 * done)",
        "test_exact_resume.py same_bits and true",
    ),
    Workaround(
        "training metrics of an epoch are lost in mid-epoch",
        "classifier.py",
        "sums.view(-1, 3).cpu()",
        "torch.zeros(1, 3)",
        "test_exact_resume.py same_bits and true",
    ),
    Workaround(
        "stock checkpoints within an epoch are put off until validation",
        "callbacks/checkpoints.py",
        "        if ends or (can_go_on_from(trainer, batch_idx) and self._is_due(trainer, batch_idx)):",
        "        if ends:",
        "test_durable.py when_it_is_time",
    ),
    Workaround(
        "a failing write is swallowed or leaves a torn file (21253, 21800)",
        "cli/build.py",
        "trainer.strategy.checkpoint_io = checkpoints.DurableCheckpointIO(",
        "checkpoints.DurableCheckpointIO(",
        "test_durable.py full_disk or when_it_is_time",
    ),
    Workaround(
        "a file is renamed before it is on the disk",
        "files/durable.py",
        "            os.fsync(file.fileno())\n",
        "",
        "test_durable.py synced",
    ),
    Workaround(
        "a truncated last.ckpt ends in a traceback, without a fallback",
        "runs/checkpoint.py",
        "        if not best.is_file():\n            raise",
        "        raise",
        "test_resume.py bad_last",
    ),
    Workaround(
        "resuming makes best-v1.ckpt (18687)",
        "callbacks/checkpoints.py",
        "            enable_version_counter=False,\n",
        "",
        "test_resume.py just_before_a_kill",
    ),
    Workaround(
        "the record of the best epoch is dropped in a moved folder, or stays behind",
        "callbacks/checkpoints.py",
        '    def load_state_dict(self, state_dict: dict[str, Any]) -> None:\n        """Restore the record',
        '    def unused(self, state_dict: dict[str, Any]) -> None:\n        """Restore the record',
        "test_cli.py moved_run_folder",
    ),
    Workaround(
        "EarlyStopping forgets that it had stopped",
        "runs/continuing.py",
        'key.startswith("EarlyStopping") and',
        "False and",
        "test_resume.py stopped_early",
    ),
    Workaround(
        "EarlyStopping forgets that it has asked to stop, which min_epochs puts off",
        "callbacks/stopping.py",
        "trainer.should_stop or self.stopping_reason != EarlyStoppingReason.NOT_STOPPED",
        "trainer.should_stop",
        "test_exact_resume.py asked_to_stop",
    ),
    Workaround(
        "a validation is skipped in a run that is continued from before it",
        "callbacks/checkpoints.py",
        "(due or (trainer.should_stop and may_stop(trainer)))",
        "due",
        "test_exact_resume.py asked_to_stop and before_it",
    ),
    Workaround(
        "a signal during validation saves swapped weights",
        "callbacks/stopping.py",
        "    def on_train_epoch_start(self",
        "    def on_validation_batch_end(self, trainer: Trainer, *rest: Any, **named: Any) -> None:\n"
        "        self._stop(trainer)\n\n"
        "    def on_train_epoch_start(self",
        "test_exact_resume.py other_settings and WeightEMA and validation",
    ),
    Workaround(
        "SIGTERM ends with exit code 0 (19916)",
        "callbacks/stopping.py",
        "self.exit_code = 128 + signum",
        "self.exit_code = 0",
        "test_resume.py within_an_epoch",
    ),
    Workaround(
        "points are logged twice after a kill",
        "runs/tensorboard.py",
        "            drop_points_behind(resumed, run_dir)",
        "            pass",
        "test_tensorboard.py killed",
    ),
    Workaround(
        "points before the checkpoint are lost in the writer's memory",
        "callbacks/run_files.py",
        "            logger.save()\n",
        "            pass\n",
        "test_tensorboard.py killed",
    ),
    Workaround(
        "the metrics of an epoch are logged after its checkpoint",
        "classifier.py",
        "        self.log_dict(metrics, logger=False)",
        "        self.log_dict(metrics)\n        return",
        "test_tensorboard.py killed",
    ),
    Workaround(
        "a checkpoint's hyperparameters win over typed flags (21455)",
        "cli/arguments.py",
        '*(f"--config={yaml.safe_dump(config)}" for config in configs), *settings]',
        '*settings, *(f"--config={yaml.safe_dump(config)}" for config in configs)]',
        "test_resume.py typed_optimizer",
    ),
    Workaround(
        "seed_everything: true means seed 0 (18846)",
        "cli/build.py",
        '"--seed_everything", type=Seed, default=0',
        '"--seed_everything", type=bool | int, default=0',
        "test_mistakes.py seed_everything",
    ),
    Workaround(
        "evaluation on several processes counts padded images twice (3325)",
        "data/batches.py",
        "        self.positions = torch.arange(rank, length, world_size)",
        "        share = -(-length // world_size)\n"
        "        self.positions = torch.arange(rank, rank + share * world_size, world_size) % length",
        "test_batches.py exactly_once",
    ),
    Workaround(
        "the traceback of TensorBoard's own thread is printed before our line",
        "cli/messages.py",
        "    threading.excepthook = thread_failed\n",
        "",
        "test_tensorboard.py full_disk",
    ),
    Workaround(
        "SQLite gives two threads the same waiting trial (Optuna 4002)",
        "sweeps/study.py",
        "with self.lock:",
        "if True:",
        "test_sweep_study.py two_threads",
    ),
)


def copy_checkout(scratch: Path) -> Path:
    """Copy what the tests need of the checkout into an empty folder."""
    for part in ("fashion_lightning", "configs", "examples", "tests", "README.md", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, scratch / part)
    return scratch


def fails_without(workaround: Workaround) -> str:
    """Run the guarding tests without a workaround; return the failure, or nothing if they pass."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = copy_checkout(Path(scratch))
        path = copy / "fashion_lightning" / workaround.file
        content = path.read_text()
        if content.count(workaround.text) != 1:
            raise RuntimeError(f"{workaround.file} no longer holds, once: {workaround.text}")
        path.write_text(content.replace(workaround.text, workaround.instead))
        file, _, words = workaround.tests.partition(" ")
        options = ["-q", "-x", "-p", "no:cacheprovider", "-n", "0", "-m", "slow or not slow", "-k", words]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", f"tests/{file}", *options],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{workaround.tests}: {done.stdout[-500:]}{done.stderr[-500:]}")
    if done.returncode == 0:
        return ""
    (test,) = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, flags=re.MULTILINE)
    errors = re.findall(r"^E +(.*)", done.stdout, flags=re.MULTILINE)
    return f"{test}: {errors[0][:110] if errors else ''}"


if __name__ == "__main__":
    unguarded, tried = 0, [entry for entry in WORKAROUNDS if " ".join(sys.argv[1:]) in entry.fault]
    for workaround in tried:
        failure = fails_without(workaround)
        unguarded += not failure
        print(f"{workaround.fault}\n    {failure or 'STILL PASSES: ' + workaround.tests}", flush=True)
    print(f"{len(tried)} workarounds, {unguarded} without a test that fails when they are taken out")
    sys.exit(bool(unguarded))
