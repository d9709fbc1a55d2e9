"""TensorBoard's event files, read."""

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event


def event_files(run_dir: Path) -> list[Path]:
    """Return the event files of a folder, in the order in which TensorBoard reads them: by name."""
    return sorted(path for path in run_dir.glob("events.out.tfevents.*") if path.is_file())


def read_events(path: Path) -> list[Event]:
    """Read the events of a file up to its end or the first damaged record: after a kill, that is the last one."""
    return list(LegacyEventFileLoader(str(path)).Load())
