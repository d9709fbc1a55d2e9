"""TensorBoard's event files, record by record, also where they are damaged.

A record is its length (8 bytes, little-endian), the checksum of the length (4 bytes), an ``Event`` in protocol
buffers, and the checksum of that (4 bytes): the TFRecord format.
"""

import io
import re
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

from fashion_lightning.files.durable import replacing

HEADER, CHECKSUM = 12, 4  # bytes


@dataclass(frozen=True)
class EventFile:
    """What could be read of an event file."""

    path: Path
    events: list[Event]
    damaged: int
    """Bytes that hold no readable record, other than those at the end."""
    torn: int
    """Bytes at the end: what a kill leaves of the last record."""

    def keep(self, wanted: Callable[[Event], bool]) -> None:
        """Write the file anew without the other events, and without what is damaged or torn."""
        kept = [event for event in self.events if wanted(event)]
        if len(kept) < len(self.events) or self.damaged or self.torn:
            write_events(self.path, kept)


def event_files(run_dir: Path) -> list[Path]:
    """The event files of a folder, in the order in which TensorBoard reads them: by name."""
    return sorted(path for path in run_dir.glob("events.out.tfevents.*") if path.is_file())


def read_events(path: Path) -> EventFile | None:
    """Read what can be read of an event file; ``None`` if it is none: its first record does not say so."""
    content, events = path.read_bytes(), []
    place = damaged = torn = 0
    while place < len(content):
        end = _end_of_record(content, place)
        event = _event(content[place + HEADER : end - CHECKSUM], content[end - CHECKSUM : end]) if end else None
        if event is not None:
            events.append(event)
        elif not events:
            return None
        else:
            lost = (end or _next_record(content, place + 1)) - place
            if end or place + lost < len(content):
                damaged += lost
            else:
                torn = lost
        place = end if end else place + lost
    return EventFile(path, events, damaged, torn) if events and events[0].file_version else None


def _end_of_record(content: bytes, place: int) -> int:
    """Where the record that begins here ends, if its length can be believed; else 0."""
    header = content[place : place + HEADER]
    if len(header) < HEADER or struct.unpack("<I", header[8:])[0] != masked_crc32c(header[:8]):
        return 0
    end = place + HEADER + int(struct.unpack("<Q", header[:8])[0]) + CHECKSUM
    return end if end <= len(content) else 0


def _next_record(content: bytes, place: int) -> int:
    """Where the next record with a right length begins; the end of the file if there is none."""
    zeros = b"\x00\x00\x00\x00"  # the upper half of a length: no event has 4 GB
    while (found := content.find(zeros, place + 4)) >= 0:
        if _end_of_record(content, found - 4):
            return found - 4
        place = found - 3
    return len(content)


def _event(data: bytes, checksum: bytes) -> Event | None:
    if struct.unpack("<I", checksum)[0] != masked_crc32c(data):
        return None
    try:
        return Event.FromString(data)
    except DecodeError:
        return None


def write_events(path: Path, events: Iterable[Event]) -> None:
    """Make or replace an event file in one step."""
    content = io.BytesIO()
    writer = RecordWriter(content)
    for event in events:
        writer.write(event.SerializeToString())
    with replacing(path) as file:
        file.write(content.getvalue())


def name_before_now(paths: list[Path]) -> None:
    """Rename event files that TensorBoard would read after one that is opened now, if the clock was set back.

    It reads them in the order of the times in their names, and drops points that come after later ones. The files
    keep their order among each other.
    """
    now = int(time.time())
    names = [re.fullmatch(r"(events\.out\.tfevents\.)(\d+)(\..*)", path.name) for path in paths]
    if not any(name and int(name[2]) >= now for name in names):
        return
    for number, (path, name) in enumerate(zip(paths, names, strict=True)):
        if name:
            path.rename(path.with_name(f"{name[1]}{now - len(paths) + number:010d}{name[3]}"))
