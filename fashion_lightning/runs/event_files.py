"""TensorBoard's event files, read record by record and rewritten.

A record is its length (8 bytes, little-endian), the checksum of the length (4 bytes), an ``Event`` in protocol
buffers, and the checksum of that (4 bytes): the TFRecord format.
"""

import io
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

from fashion_lightning.files.durable import replacing

HEADER, CHECKSUM = 12, 4  # bytes


def event_files(run_dir: Path) -> list[Path]:
    """The event files of a folder, in the order in which TensorBoard reads them: by name."""
    return sorted(path for path in run_dir.glob("events.out.tfevents.*") if path.is_file())


def read_events(path: Path) -> list[Event]:
    """Read the events of a file; empty if it is no event file.

    A damaged record is left out. What follows a damaged length is lost: after a kill, this is a torn last record.
    """
    content, place, events = path.read_bytes(), 0, []
    while place + HEADER <= len(content):
        length, checksum = struct.unpack_from("<QI", content, place)
        end = place + HEADER + length
        if checksum != masked_crc32c(content[place : place + 8]) or end + CHECKSUM > len(content):
            break
        data = content[place + HEADER : end]
        if struct.unpack_from("<I", content, end)[0] == masked_crc32c(data):
            try:
                events.append(Event.FromString(data))
            except DecodeError:
                return []
        place = end + CHECKSUM
    return events if events and events[0].file_version else []


def keep_events(path: Path, wanted: Callable[[Event], bool]) -> None:
    """Take the other events out of a file, and a torn record at its end."""
    events = read_events(path)
    if events:
        write_events(path, filter(wanted, events))


def write_events(path: Path, events: Iterable[Event]) -> None:
    """Make or replace an event file in one step."""
    content = io.BytesIO()
    writer = RecordWriter(content)
    for event in events:
        writer.write(event.SerializeToString())
    with replacing(path) as file:
        file.write(content.getvalue())
