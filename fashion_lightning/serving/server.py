"""Run the server: its address, the headers of its responses, and an orderly shutdown."""

import base64
import hashlib
import os
import signal
import socket

import uvicorn
from fastapi import FastAPI

from fashion_lightning.errors import UserError
from fashion_lightning.report.page import render
from fashion_lightning.runs.processes import SIGNALS
from fashion_lightning.serving.intake import Limits

LAST_WORDS = 5
"""Seconds to finish pending requests at shutdown."""

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every response, besides the Content-Security-Policy."""


def listen(host: str, port: int) -> socket.socket:
    """Open a socket at an address; from then on, connections wait there.

    Args:
        host: name or IP address of this machine; ``0.0.0.0`` and ``::`` are all of its addresses.
        port: 0 for any free one.

    Raises:
        UserError: this machine has no such address, or another program listens there.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port must be a number from 0 to 65535, not {port}.")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, dualstack_ipv6=host == "::")
    except (socket.gaierror, ValueError) as error:  # ValueError: not a name, or `::` without IPv6
        raise UserError(f"--host {host} is not a name or IP address of this machine.") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"Nothing can be served at {host}, port {port} ({reason}). Change --host or --port.") from error


def address(listening: socket.socket) -> str:
    """Return the URL to type into a browser on this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def config(app: FastAPI) -> uvicorn.Config:
    """Configure uvicorn to serve an application and to print only warnings.

    The Content-Security-Policy allows only the page's style and script, and requests to this server.
    """
    style, script = (
        base64.b64encode(hashlib.sha256(render(name)).digest()).decode() for name in ("serve.css", "serve.js")
    )
    policy = (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        headers=[*HEADERS.items(), ("Content-Security-Policy", policy)],
        limit_concurrency=Limits.connections,
        timeout_graceful_shutdown=LAST_WORDS,
    )


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Serve until Ctrl-C, SIGTERM or a closed terminal; then return without an error."""
    os.environ["PYTHONSAFEPATH"] = "1"  # decoders import nothing from the working folder, where a random.py may lie
    server = uvicorn.Server(config(app))
    for signum in SIGNALS:  # uvicorn handles two of them, and raises those again when it has ended
        signal.signal(signum, server.handle_exit)
    server.run(sockets=[listening])
