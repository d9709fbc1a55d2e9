"""What ``fit``, ``validate`` and ``test`` tell the user at their end, as text and as JSON."""

import json
from pathlib import Path
from typing import Any

from lightning import Trainer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.files.durable import replacing
from fashion_lightning.precision import bf16_is_native
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.seeding import run_seed


def percent(fraction: float) -> str:
    """0.93456 → ``93.46 %``."""
    return f"{100 * fraction:.2f} %"


def evaluation_metrics(evaluation: dict[str, Tensor]) -> dict[str, Any]:
    """The result of an evaluation as plain values for JSON.

    Args:
        evaluation: one of ``FashionMNISTClassifier.evaluations``.
    """
    per_class = zip(CLASS_NAMES, *(evaluation[name].tolist() for name in ("precision", "recall", "f1")), strict=True)
    return {
        "images": int(evaluation["confusion"].sum()),
        "accuracy": evaluation["accuracy"].item(),
        "top5": evaluation["top5"].item(),
        "loss": evaluation["loss"].item(),
        "classes": {cls: {"precision": p, "recall": r, "f1": f} for cls, p, r, f in per_class},
        "confusion": evaluation["confusion"].tolist(),
    }


def print_evaluation(title: str, metrics: dict[str, Any]) -> None:
    """Print the metrics of ``evaluation_metrics`` as a table."""
    console = Console()
    console.print(f"\n{title}", highlight=False, soft_wrap=True)
    table = Table()
    table.add_column("class")
    for column in ("precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for cls, values in metrics["classes"].items():
        table.add_row(cls, *(percent(values[name]) for name in ("precision", "recall", "f1")))
    console.print(table)
    console.print(
        f"accuracy {percent(metrics['accuracy'])}   top-5 {percent(metrics['top5'])}"
        f"   loss {metrics['loss']:.4f}   ({metrics['images']:,} images)",
        highlight=False,
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write or replace a JSON file in one step."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def write_evaluation(path: Path, checkpoint: Checkpoint, tta: str, metrics: dict[str, Any]) -> None:
    """Write the metrics of ``evaluation_metrics`` with what they were measured of."""
    record = {"checkpoint": checkpoint.path.name, "steps": checkpoint.steps_done, "tta": tta}
    write_json(path, {**record, **metrics})
    print(f"Written to {path}")


def print_start(checkpoint: Checkpoint | None, trainer: Trainer, run_dir: Path | None, has_schedule: bool) -> None:
    """Say what a fit is about to do."""
    device = trainer.strategy.root_device.type  # of Apple's GPUs it is not known
    lacking = trainer.precision == "32-true" and device in ("cpu", "cuda") and not bf16_is_native(device)
    fallback = " (no bf16 arithmetic on this machine)" if lacking else ""
    where = run_dir or "none, nothing is saved (fast_dev_run)"
    processes = f"   processes: {trainer.world_size}" if trainer.world_size > 1 else ""
    print(f"Run folder: {where}   precision: {trainer.precision}{fallback}   seed: {run_seed()}{processes}")
    if checkpoint is None:
        return
    epochs, batches = checkpoint.epochs_done, checkpoint.batches_of_epoch_done
    place = f"in epoch {epochs + 1}, after {batches} batches of it" if batches else f"after {epochs} epochs"
    print(f"Continuing {checkpoint.path} {place}.")
    before = checkpoint.settings["trainer"].get("max_epochs", trainer.max_epochs)
    if before != trainer.max_epochs and has_schedule:
        print(f"The learning rate's schedule now spans {trainer.max_epochs} epochs, not {before}.")


def print_fit(run_dir: Path, metrics: dict[str, Any]) -> None:
    """Say what a fit ended with, and the next commands."""
    best = metrics["best"]
    start = metrics.get("start_seconds")  # a report that is made later from a checkpoint does not know it
    began = f", after {start:.0f} s to start" if start else ""
    print(
        f"\n{metrics['epochs']} epoch{'s' if metrics['epochs'] != 1 else ''} in {metrics['fit_seconds']:.0f} s{began}"
    )
    if best:
        print(
            f"Best checkpoint   {run_dir / 'checkpoints' / 'best.ckpt'}"
            f" (epoch {best['epoch'] + 1:.0f} of {metrics['epochs']})"
        )
        if "val/loss" in best:  # else judged by a metric of training, in an epoch without validation
            print(
                f"Validation        accuracy {percent(best['val/accuracy'])}   top-5 {percent(best['val/top5'])}"
                f"   loss {best['val/loss']:.4f}"
            )
        print(f"Test it           fashion-lightning test --ckpt_path {run_dir}")
    elif (run_dir / "checkpoints" / "last.ckpt").is_file():  # without validation there is no best one
        print(f"Test it           fashion-lightning test --ckpt_path {run_dir / 'checkpoints' / 'last.ckpt'}")
    print(f"See its curves    tensorboard --logdir {run_dir.parent.parent}", flush=True)
