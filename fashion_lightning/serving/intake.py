"""Define all bounds of a server, which together limit its memory, and receive request bodies within them."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

LINGER = 5.0
"""For this many seconds, the server reads and drops what a refused client still sends."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a server; none is an option of the command, since nobody has to choose them."""

    bytes: int = 20_000_000
    """Of one uploaded picture."""
    pixels: int = 25_000_000
    """Most pixels to decode of one picture, by its header; large JPEGs are decoded at a smaller size."""
    decoders: int = 5
    """Decoding processes at a time: four bad pictures cannot keep a good one waiting."""
    decoding_seconds: int = 3
    """CPU time to decode one picture; the largest take two seconds."""
    decoding_bytes: int = 800_000_000
    """Memory of a decoding process; the largest pictures take 700 MB, those of phones 100 MB."""
    seconds: float = 60
    """For a picture to arrive."""
    bytes_of_all: int = 200_000_000
    """Of all pictures that the server holds at a time."""
    connections: int = 200
    """Open at a time; a browser keeps up to six."""


class Intake:
    """Receives request bodies, and counts the bytes of all that the server holds."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.bytes = limits, 0

    @contextlib.asynccontextmanager
    async def picture(self, request: Request) -> AsyncIterator[io.BytesIO]:
        """Yield the body of a request as an open file; its bytes count until the block ends.

        Raises:
            HTTPException: it has another media type, is empty, too large or too slow, or the server holds too much.
        """
        try:
            _check_headers(request)
            with io.BytesIO() as file:
                try:
                    await self._receive(request, file)
                    file.seek(0)
                    yield file
                finally:
                    self.bytes -= file.getbuffer().nbytes
        except HTTPException as refused:
            await _drop_the_rest(request)
            refused.headers = {**(refused.headers or {}), "Connection": "close"}
            raise

    async def _receive(self, request: Request, file: io.BytesIO) -> None:
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for chunk in request.stream():
                    if file.tell() + len(chunk) > self.limits.bytes:
                        largest = f"The picture has more than {self.limits.bytes / 1e6:g} MB. Send a smaller one."
                        raise HTTPException(413, largest)
                    if self.bytes + len(chunk) > self.limits.bytes_of_all:
                        busy = "Too many pictures at the same time. Try again in a second."
                        raise HTTPException(503, busy, headers={"Retry-After": "1"})
                    self.bytes += len(chunk)
                    file.write(chunk)
        except TimeoutError as error:
            raise HTTPException(408, f"The picture did not arrive within {self.limits.seconds:g} seconds.") from error
        except ClientDisconnect as error:  # nobody will read this
            raise HTTPException(400, "The connection ended before the picture did.") from error
        if not file.tell():
            raise HTTPException(400, "The request holds no picture: send the bytes of one file as its body.")


async def _drop_the_rest(request: Request) -> None:
    """Read and drop what a refused client still sends, for ``LINGER`` seconds.

    Closing a connection with unread bytes would reset it, and the client would never see the answer.
    """
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: there is nothing left
        async with asyncio.timeout(LINGER):
            async for _ in request.stream():
                pass


def _check_headers(request: Request) -> None:
    """Refuse a request by its headers, before reading its body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Another site's page can send these types only if this server allows it, which it does not.
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise HTTPException(
            415, "Send the bytes of one picture as image/jpeg, image/png and so on, or as application/octet-stream."
        )
    if {"content-length", "transfer-encoding"} <= {*request.headers}:  # could hide a second request in the body
        raise HTTPException(400, "A request must not have both a Content-Length and a Transfer-Encoding.")
