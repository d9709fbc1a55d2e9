"""Read TensorBoard's event files."""

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event


def event_files(run_dir: Path) -> list[Path]:
    """Return the event files of a folder, sorted by name, as TensorBoard reads them."""
    return sorted(path for path in run_dir.glob("events.out.tfevents.*") if path.is_file())


def read_events(path: Path) -> list[Event]:
    """Read the events of a file until its end or the first damaged record, which after a kill is the last record."""
    return list(LegacyEventFileLoader(str(path)).Load())
