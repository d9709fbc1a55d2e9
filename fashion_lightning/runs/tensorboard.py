"""The TensorBoard logger of a run: one folder, one curve, real metrics in the HPARAMS tab."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from fashion_lightning.metrics import TRAIN_METRICS
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.runs.durable import replacing
from fashion_lightning.runs.results import flattened

METRICS = ("val/accuracy", "val/loss", "val/top5", "test/accuracy", "test/loss")
"""The curves whose latest values the HPARAMS tab shows."""


class RunLogger(TensorBoardLogger):
    """Writes into a run folder, also when the run is continued.

    Args:
        run_dir: the run folder.
        recipe: settings for the HPARAMS tab, plain values.
        resumed: the checkpoint that the run goes on from. What an interrupted run has logged beyond it is
            taken out of its files, and a running TensorBoard is told so (``purge_step``).
    """

    def __init__(self, run_dir: Path, recipe: dict[str, Any], resumed: Checkpoint | None = None) -> None:
        super().__init__(
            save_dir=run_dir.parent.parent,
            name=run_dir.parent.name,
            version=run_dir.name,
            log_graph=True,
            default_hp_metric=False,
        )
        self.run_dir = run_dir
        self.recipe = recipe
        self.resumed = resumed
        self.writer: SummaryWriter | None = None

    @property
    def experiment(self) -> SummaryWriter:
        """The writer, opened on first use; for pictures and anything else beyond scalars."""
        if self.writer is None:
            if self.resumed is not None:
                drop_points_behind(self.resumed, self.run_dir)
            purge_step = self.resumed.steps_done if self.resumed is not None else None
            self.writer = SummaryWriter(str(self.run_dir), purge_step=purge_step)
        return self.writer

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Name the recipe once and point the HPARAMS tab at the curves.

        Stock Lightning writes ``hp_metric = -1`` here, which a later ``test`` overwrites (issue 21247).
        """
        settings = {  # lists and nothing as text, which is what the tab can show
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in flattened(self.recipe)
        }
        for summary in hparams(settings, dict.fromkeys(METRICS, 0.0)):  # type: ignore[no-untyped-call]
            self.experiment._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]

    @rank_zero_only
    def log_graph(self, model: Any, input_array: torch.Tensor | None = None) -> None:
        """Draw the network for a batch of two images; once in the life of a run."""
        if self.resumed is not None:
            return
        training = model.training
        model.eval()  # a traced dropout would differ from itself
        with warnings.catch_warnings():
            # torch's own add_graph still traces: https://github.com/pytorch/pytorch/issues/103683
            warnings.filterwarnings("ignore", message=".*torch.jit.trace.* is deprecated")
            try:
                self.experiment.add_graph(model.network, model.example_input_array.to(model.device, model.dtype))
            except RuntimeError as error:  # a compiled network, say, cannot be traced
                rank_zero_warn(f"TensorBoard shows no graph of this network: {str(error).splitlines()[0]}")
        model.train(training)

    @rank_zero_only
    def save(self) -> None:
        """Flush; the run's config.yaml takes the place of Lightning's hparams.yaml."""
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the event file."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def drop_points_behind(checkpoint: Checkpoint, run_dir: Path) -> None:
    """Take what a run logged after a checkpoint out of its event files, and a torn record at their end.

    A killed run has logged steps that the continued one logs again. TensorBoard itself hides the first
    of two points (``purge_step``); whoever reads the files finds both (issue 5403).
    """
    step = checkpoint.steps_done
    again = tuple(TRAIN_METRICS.values()) if checkpoint.within_epoch else ()

    def is_behind(event: Event) -> bool:
        tags = [value.tag for value in event.summary.value if value.HasField("simple_value")]
        return bool(tags) and (event.step >= step or (event.step == step - 1 and tags[0] in again))

    for path in sorted(run_dir.glob("events.out.tfevents.*")):
        kept = io.BytesIO()
        writer = RecordWriter(kept)
        for record in RawEventFileLoader(str(path)).Load():
            if not is_behind(Event.FromString(record)):
                writer.write(record)
        if kept.tell() < path.stat().st_size:
            with replacing(path) as file:
                file.write(kept.getvalue())


def log_test_metrics(run_dir: Path, stage: str, metrics: dict[str, Any], step: int) -> None:
    """Add test metrics to the run's curves, at the step of the checkpoint that was tested.

    Lightning would log them at step 0, with an ``epoch`` 0 for which TensorBoard drops the whole
    ``epoch`` curve: a point at an earlier step supersedes those behind it.
    """
    with SummaryWriter(str(run_dir)) as writer:
        for name in ("accuracy", "loss", "top5"):
            writer.add_scalar(f"{stage}/{name}", metrics[name], step)
