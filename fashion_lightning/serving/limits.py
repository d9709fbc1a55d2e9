"""All bounds of a server; together they bound its memory."""

import os
from dataclasses import dataclass

PREPARING = min(4, os.cpu_count() or 1)
"""Pictures that are decoded at the same time, each in a thread."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a server; none is an option of the command, since none has to be chosen."""

    bytes: int = 20_000_000
    """Of one picture as it is uploaded."""
    pixels: int = 25_000_000
    """Of one picture as it is decoded, by its header; large JPEGs are decoded at a smaller size."""
    seconds: float = 60
    """Until a picture must have arrived."""
    requests: int = 64
    """At a time, from the first byte to the answer."""
    bytes_of_all: int = 200_000_000
    """Of all pictures at a time."""
    connections: int = 200
    """Open at a time; a browser keeps up to six."""
    batch: int = 32
    """Pictures in one pass of the network."""
