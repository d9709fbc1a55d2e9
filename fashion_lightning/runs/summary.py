"""A run in one line: how far it is and what it reached, from the small files in its folder and without torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import is_being_trained
from fashion_lightning.runs.origin import read_origin
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import FIT_KEYS, read_report


@dataclass(frozen=True)
class RunSummary:
    """What ``list`` shows of a run."""

    run_dir: Path
    state: str
    """``finished``, ``training``, ``interrupted``, ``failed``, ``diverged``; ``empty`` without a checkpoint."""
    epochs: str
    """Trained to their end, ``2 of 8``; empty if that is not known, as of a killed run of version 0.1."""
    val_accuracy: float | None
    """Of the best checkpoint."""
    test_accuracy: float | None
    """The same, without test-time augmentation."""
    name: str
    note: str


def summarize(run_dir: Path) -> RunSummary:
    """Look at a run folder; what is missing or damaged counts as not there."""
    fit, progress = _report(run_dir / "fit.json", FIT_KEYS), read_progress(run_dir)
    best = fit.get("best")
    best = best if isinstance(best, dict) else {}
    test = _report(run_dir / "test_best.json", ("accuracy", "steps"))
    if test.get("steps") != best.get("steps"):  # of an earlier best checkpoint
        test = {}
    done = int(fit["epochs"]) if fit else progress.epoch if progress else None
    whole = progress.epochs if progress else None
    if is_being_trained(run_dir):
        state = "training"
    elif fit:
        state = "finished"
    elif any(run_dir.glob("checkpoints/*.ckpt")):
        state = progress.state if progress and progress.state in ("failed", "diverged") else "interrupted"
    else:
        state = "empty"
    origin = read_origin(run_dir)
    return RunSummary(
        run_dir,
        state,
        "" if done is None else f"{done} of {whole}" if whole else str(done),
        _fraction(best.get("val/accuracy")),
        _fraction(test.get("accuracy")),
        origin.get("name", ""),
        origin.get("note", ""),
    )


def runs_in(logs: Path) -> Iterator[Path]:
    """The run folders where runs are kept: by recipe, then by number."""
    runs = [run for run in logs.glob("*/version_*") if run.name[8:].isdigit() and run.is_dir()]
    yield from sorted(runs, key=lambda run: (run.parent.name, int(run.name[8:])))


def _report(path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    try:
        return read_report(path, needed) or {}
    except UserError:
        return {}


def _fraction(value: Any) -> float | None:
    return value if isinstance(value, float | int) and 0 <= value <= 1 else None
