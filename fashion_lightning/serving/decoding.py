"""Decode each uploaded picture in its own process, within bounds on CPU time and memory.

A file can keep a decoder busy forever, and no list of such tricks is complete: repeated scans, tiles larger than their
picture, millions of empty segments.
"""

import contextlib
import io
import multiprocessing
import resource
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fashion_lightning.data.classes import ImageSpec
from fashion_lightning.errors import UserError
from fashion_lightning.files.pictures import FORMATS, TooManyPixels, opened
from fashion_lightning.photographs.prepare import Box, Prepared, prepare
from fashion_lightning.serving.intake import Limits

NOT_SERVED = ("TIFF",)
"""No phone sends TIFF, and its tiles may be larger than the picture."""

SERVED_FORMATS = [name for name in FORMATS if name not in NOT_SERVED]

FORKSERVER: Any = multiprocessing.get_context("forkserver")
"""Starts a process in milliseconds, by forking one that has imported everything and done nothing else."""

FORKSERVER.set_forkserver_preload([__name__, "fashion_lightning.__main__"])


def prepared(file: bytes, limits: Limits, images: ImageSpec, box: Box | None) -> Prepared:
    """Decode and prepare the bytes of a picture; ``prepare`` describes ``images`` and ``box``.

    Raises:
        TooManyPixels: decoding takes too much time or memory.
        UserError: any other error of ``opened``.
    """
    receiver, sender = FORKSERVER.Pipe(duplex=False)
    process = FORKSERVER.Process(target=_decode, args=(sender, file, limits, images, box), daemon=True)
    process.start()
    sender.close()
    found: Prepared | UserError = TooManyPixels("The picture takes too long or too much memory to decode.")
    with receiver, contextlib.suppress(EOFError):  # the process ended without an answer
        if receiver.poll(limits.decoders * limits.decoding_seconds):  # all decoders may share one core
            found = receiver.recv()
    process.kill()
    process.join()
    if isinstance(found, UserError):
        raise found
    return found


def _decode(sender: Connection, file: bytes, limits: Limits, images: ImageSpec, box: Box | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; finish this picture
    with contextlib.suppress(OSError):  # macOS has no limit on memory
        resource.setrlimit(resource.RLIMIT_CPU, (limits.decoding_seconds, limits.decoding_seconds))
        pages = int(Path("/proc/self/statm").read_text().split()[0])  # NumPy takes 41 MB for each core
        most = pages * resource.getpagesize() + limits.decoding_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        with opened(io.BytesIO(file), "The picture", limits.pixels, NOT_SERVED) as picture:
            sender.send(prepare(picture, images, box))
    except UserError as error:
        sender.send(error)
