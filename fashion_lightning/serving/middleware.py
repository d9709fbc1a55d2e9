"""Headers of every response, and an orderly end of requests that are refused early."""

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER = 5.0
"""Seconds in which a client that was refused may still send; it is read and dropped."""


class WithHeaders:
    """Add the same headers to all responses."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self.app = app
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; an ASGI application."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class AnsweredEarly:
    """Let an answer reach a client that is still sending, and then close the connection.

    Closed at once, with bytes unread, it would be reset, and the client would never see the answer; not closed, a body
    without end would be read without end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; an ASGI application."""
        whole = scope["type"] != "http"

        async def receive_and_look() -> Message:
            nonlocal whole
            message = await receive()
            whole = whole or not message.get("more_body", False)
            return message

        async def send_to_the_end(message: Message) -> None:
            if message["type"] == "http.response.start" and not whole and scope["method"] not in ("GET", "HEAD"):
                MutableHeaders(scope=message)["Connection"] = "close"
            if message["type"] == "http.response.body" and not message.get("more_body", False) and not whole:
                await send({**message, "more_body": True})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LINGER):
                        while not whole:
                            await receive_and_look()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self.app(scope, receive_and_look, send_to_the_end)
