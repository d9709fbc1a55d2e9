"""What one server takes on: all of its bounds, so that its memory has one."""

import os
from dataclasses import dataclass

PREPARING = min(4, os.cpu_count() or 1)
"""Pictures that are decoded at the same time, each in a thread."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a server; none is an option, for none has to be chosen."""

    bytes: int = 20_000_000
    """Of one picture as it is sent."""
    pixels: int = 25_000_000
    """Of one picture as it is decoded, by its header; of a JPEG, as phones make them, a part is."""
    seconds: float = 60
    """In which a picture must have arrived."""
    requests: int = 64
    """Pictures at a time, be they on their way, prepared or classified."""
    bytes_of_all: int = 200_000_000
    """Of the pictures at a time."""
    connections: int = 200
    """Open at a time; a browser keeps up to six."""
    batch: int = 32
    """Pictures in one pass of the network."""
