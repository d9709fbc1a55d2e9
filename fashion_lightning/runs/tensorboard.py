"""The TensorBoard logger of a run: one folder, one point for each step, the settings in the HPARAMS tab."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import custom_scalars, hparams

from fashion_lightning.files.durable import replacing
from fashion_lightning.metrics import TRAIN_METRICS
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.runs.event_files import event_files, read_events
from fashion_lightning.runs.processes import is_first_process
from fashion_lightning.runs.results import flattened

THROUGHPUT = "throughput"
"""Images trained on per second: the one curve in which two equal runs differ."""

AFTER_THE_EPOCH = (*TRAIN_METRICS, THROUGHPUT)
"""Curves that get their point when an epoch ends, after the checkpoint of a validation in its last step."""

PARTS = (("val", "validation"), ("train", "training"))
"""Curves of a run differ in a chart by their markers only: each part has a chart of its own."""

LAYOUT = {
    "Accuracy": {f"{name} accuracy": ["Multiline", [f"{part}/accuracy"]] for part, name in PARTS},
    "Loss, the plain cross-entropy": {f"{name} loss": ["Multiline", [f"{part}/loss$"]] for part, name in PARTS},
    "Learning rate and images per second": {
        "learning rate": ["Multiline", ["lr"]],
        "images per second": ["Multiline", [THROUGHPUT]],
    },
}
"""The charts of the Custom Scalars tab."""

AT_EACH_START = ("_hparams_/", "custom_scalars__config__")
"""Tags that are written when a run begins and each time that it continues."""


class RunLogger(TensorBoardLogger):
    """Writes into a run folder, also when the run is continued.

    Args:
        run_dir, recipe: the folder, and settings for the HPARAMS tab, plain values.
        resumed: the checkpoint that the run continues from. Points logged after it are taken out of the files.
    """

    def __init__(self, run_dir: Path, recipe: dict[str, Any], resumed: Checkpoint | None = None) -> None:
        super().__init__(
            save_dir=run_dir.parent.parent,
            name=run_dir.parent.name,
            version=run_dir.name,
            log_graph=True,
            default_hp_metric=False,
        )
        self.run_dir, self.recipe = run_dir, recipe
        if resumed is not None and is_first_process():
            drop_points_behind(resumed, run_dir)

    @rank_zero_only
    def log_graph(self, model: Any, input_array: torch.Tensor | None = None) -> None:
        """Log the settings and the layout of the charts, but no graph; Lightning calls this when a fit starts.

        Stock Lightning writes ``hp_metric = -1`` beside the settings, which a later ``test`` overwrites (issue 21247).
        Without a list of settings and metrics, TensorBoard shows those of all runs, else those of the first one.
        """
        shown = {key: value if isinstance(value, int | float) else str(value) for key, value in flattened(self.recipe)}
        _, settings, end = hparams(shown, {})  # type: ignore[no-untyped-call]
        for summary in (settings, end, custom_scalars(LAYOUT)):  # type: ignore[no-untyped-call]
            self.experiment._get_file_writer().add_summary(summary)  # noqa: SLF001

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log curves. ``epoch`` is written for readers of the files, but TensorBoard draws no chart of it."""
        curves = dict(metrics)
        epoch = curves.pop("epoch", None)
        super().log_metrics(curves, step)
        if epoch is not None:
            metadata = {"plugin_data": {"plugin_name": "fashion_lightning"}, "data_class": DATA_CLASS_SCALAR}
            summary = Summary(value=[Summary.Value(tag="epoch", simple_value=epoch, metadata=metadata)])
            self.experiment._get_file_writer().add_summary(summary, step)  # noqa: SLF001

    @rank_zero_only
    def save(self) -> None:
        """Flush; the run's config.yaml takes the place of Lightning's hparams.yaml."""
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the event file; after another error, one of the disk is no news."""
        with contextlib.nullcontext() if status == "success" else contextlib.suppress(OSError):
            super().finalize(status)


def drop_points_behind(checkpoint: Checkpoint, run_dir: Path) -> None:
    """Take what a run logged after a checkpoint out of its event files, and a torn record at their end.

    The continued run logs these points, pictures and settings again. TensorBoard drops the first of two points of a
    tag, but other readers of the files find both (issue 5403).
    """
    steps = checkpoint.steps_done or 0
    epochs, batches = (checkpoint.loop[name]["current"] for name in ("epoch_progress", "epoch_loop.batch_progress"))
    # An epoch has begun whose training metrics are still to be logged, be it after its last batch.
    again = AFTER_THE_EPOCH if epochs["processed"] < epochs["started"] and batches["processed"] > 0 else ()

    def stays(event: Event) -> bool:
        if not event.summary.value:
            return True
        tag = event.summary.value[0].tag
        return not tag.startswith(AT_EACH_START) and bool(event.step < steps - (tag in again))

    for path in event_files(run_dir):
        if events := read_events(path):
            with replacing(path) as file:
                writer = RecordWriter(file)
                for event in filter(stays, events):
                    writer.write(event.SerializeToString())


def log_test_metrics(run_dir: Path, stage: str, metrics: dict[str, Any], step: int) -> None:
    """Add test metrics to the run's curves, at the step of the checkpoint that was tested.

    Each checkpoint's points have a file of their own, which the next test replaces. Lightning would log them at step 0,
    with an ``epoch`` 0 that hides the whole ``epoch`` curve.
    """
    suffix = f".{stage}_{step}"
    for path in run_dir.glob(f"events.out.tfevents.*{suffix}"):
        path.unlink()
    with SummaryWriter(run_dir, filename_suffix=suffix) as writer:
        for name in ("accuracy", "loss", "top5"):
            writer.add_scalar(f"{stage}/{name}", metrics[name], step)
