"""The TensorBoard logger of a run: one folder, one point per step, the settings in the HPARAMS tab."""

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
"""Training images per second: the only curve that differs between two equal runs."""

AFTER_THE_EPOCH = (*TRAIN_METRICS, THROUGHPUT)
"""Curves that are logged at the end of an epoch, after its validation has written the best checkpoint."""

PARTS = (("val", "validation"), ("train", "training"))
"""Each part has its own chart, because in one chart a run's curves differ only by their markers."""

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
"""Prefixes of tags that are written whenever a run starts or continues."""


class RunLogger(TensorBoardLogger):
    """Writes into a run folder, even when the run is continued.

    Args:
        run_dir, recipe: the folder, and the settings for the HPARAMS tab as plain values.
        resumed: the checkpoint that the run continues from. Points that were logged after it are removed.
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
        """Log the settings and the layout of the charts, not a graph; Lightning calls this when a fit starts.

        Lightning itself writes ``hp_metric = -1`` with the settings, which a later ``test`` overwrites (issue 21247).
        This writes no list of settings and metrics, so that TensorBoard shows those of all runs, not of the first one.
        """
        shown = {key: value if isinstance(value, int | float) else str(value) for key, value in flattened(self.recipe)}
        _, settings, end = hparams(shown, {})  # type: ignore[no-untyped-call]
        for summary in (settings, end, custom_scalars(LAYOUT)):  # type: ignore[no-untyped-call]
            self.experiment._get_file_writer().add_summary(summary)  # noqa: SLF001

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log curves. ``epoch`` is written for readers of the files, in a form that TensorBoard does not plot."""
        curves = dict(metrics)
        epoch = curves.pop("epoch", None)
        super().log_metrics(curves, step)
        if epoch is not None:
            metadata = {"plugin_data": {"plugin_name": "fashion_lightning"}, "data_class": DATA_CLASS_SCALAR}
            summary = Summary(value=[Summary.Value(tag="epoch", simple_value=epoch, metadata=metadata)])
            self.experiment._get_file_writer().add_summary(summary, step)  # noqa: SLF001

    @rank_zero_only
    def save(self) -> None:
        """Flush the event file; write no hparams.yaml as Lightning does, since the run has a config.yaml."""
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the event file; after a failed fit, ignore errors of the disk, so that they do not hide its error."""
        with contextlib.nullcontext() if status == "success" else contextlib.suppress(OSError):
            super().finalize(status)


def drop_points_behind(checkpoint: Checkpoint, run_dir: Path) -> None:
    """Remove all that a run logged after a checkpoint from its event files, and a damaged record at their end.

    The continued run logs these points, plots and settings again. Of two points of a tag at one step, TensorBoard
    drops the first, but other readers of the files see both (issue 5403).
    """
    steps = checkpoint.steps_done or 0
    epochs, batches = (checkpoint.loop[name]["current"] for name in ("epoch_progress", "epoch_loop.batch_progress"))
    # If an epoch has begun, its training metrics will be logged again, even if its last batch is done.
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
    """Add test metrics to the run's curves, at the step of the tested checkpoint.

    Each checkpoint's points are in a separate file, which its next test replaces. Lightning would log them at step 0,
    with an ``epoch`` 0 that hides the whole ``epoch`` curve.
    """
    suffix = f".{stage}_{step}"
    for path in run_dir.glob(f"events.out.tfevents.*{suffix}"):
        path.unlink()
    with SummaryWriter(run_dir, filename_suffix=suffix) as writer:
        for name in ("accuracy", "loss", "top5"):
            writer.add_scalar(f"{stage}/{name}", metrics[name], step)
