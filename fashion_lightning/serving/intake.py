"""Request bodies, taken in within bounds."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from typing import BinaryIO

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from fashion_lightning.serving.limits import Limits


class Intake:
    """Counts what is held of all requests.

    Args:
        limits: its bounds are of bytes, seconds and requests.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = self.bytes = 0

    @contextlib.asynccontextmanager
    async def picture(self, request: Request) -> AsyncIterator[BinaryIO]:
        """The body of a request as an open file, which counts until the block ends.

        Raises:
            HTTPException: it is of another media type, empty, too large or too slow, or too much is held already.
        """
        _check_headers(request, self.limits.bytes)
        if self.requests >= self.limits.requests:
            raise _busy()
        self.requests += 1
        file = io.BytesIO()
        held = 0
        try:
            async for chunk in self._chunks(request):
                # Content-Length may be missing, as of chunks without end.
                if held + len(chunk) > self.limits.bytes:
                    raise _too_large(self.limits.bytes)
                if self.bytes + len(chunk) > self.limits.bytes_of_all:
                    raise _busy()
                self.bytes += len(chunk)
                held += len(chunk)
                file.write(chunk)
            if not held:
                raise HTTPException(400, "The request holds no picture: send the bytes of one file as its body.")
            file.seek(0)
            yield file
        finally:
            file.close()
            self.requests -= 1
            self.bytes -= held

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        """The parts of a body as they arrive, all of them in time."""
        chunks = request.stream()
        end = asyncio.get_running_loop().time() + self.limits.seconds
        while True:
            try:
                async with asyncio.timeout_at(end):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                raise HTTPException(
                    408, f"The picture did not arrive within {self.limits.seconds:g} seconds."
                ) from error
            except ClientDisconnect as error:  # nobody reads this
                raise HTTPException(400, "The connection ended before the picture did.") from error
            if chunk is None:
                return
            yield chunk


def _check_headers(request: Request, largest: int) -> None:
    """Refuse what the headers give away, before anything is read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Neither can be sent from another site's page unless this server allows it, which it does not.
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise HTTPException(
            415, "Send the bytes of one picture as image/jpeg, image/png and so on, or as application/octet-stream."
        )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > largest:
        raise _too_large(largest)


def _too_large(largest: int) -> HTTPException:
    return HTTPException(
        413, f"The picture has more than {largest / 1e6:g} MB. Send a smaller one; 28x28 pixels are used."
    )


def _busy() -> HTTPException:
    return HTTPException(
        503, "Too many pictures at the same time. Try again in a second.", headers={"Retry-After": "1"}
    )
