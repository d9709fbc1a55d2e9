"""Request bodies, taken in within bounds."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from fashion_lightning.serving.limits import Limits


class Intake:
    """Counts what the server holds of all requests.

    Args:
        limits: its bounds on bytes, seconds and requests.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = self.bytes = 0

    @contextlib.asynccontextmanager
    async def picture(self, request: Request) -> AsyncIterator[io.BytesIO]:
        """Yield the body of a request as an open file, which counts until the block ends.

        Raises:
            HTTPException: it has another media type, is empty, too large or too slow, or too much is held already.
        """
        _check_headers(request, self.limits.bytes)
        if self.requests >= self.limits.requests:
            raise _busy()
        self.requests += 1
        with io.BytesIO() as file:
            try:
                await self._receive(request, file)
                file.seek(0)
                yield file
            finally:
                self.requests -= 1
                self.bytes -= file.getbuffer().nbytes

    async def _receive(self, request: Request, file: io.BytesIO) -> None:
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for chunk in request.stream():
                    # Chunks without end have no Content-Length.
                    if file.tell() + len(chunk) > self.limits.bytes:
                        raise _too_large(self.limits.bytes)
                    if self.bytes + len(chunk) > self.limits.bytes_of_all:
                        raise _busy()
                    self.bytes += len(chunk)
                    file.write(chunk)
        except TimeoutError as error:
            raise HTTPException(408, f"The picture did not arrive within {self.limits.seconds:g} seconds.") from error
        except ClientDisconnect as error:  # nobody reads this
            raise HTTPException(400, "The connection ended before the picture did.") from error
        if not file.tell():
            raise HTTPException(400, "The request holds no picture: send the bytes of one file as its body.")


def _check_headers(request: Request, largest: int) -> None:
    """Refuse what the headers give away, before anything is read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Another site's page can send neither unless this server allows it, which it does not.
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
