"""The page as one file: markup, style and script, none of it from another place."""

import base64
import hashlib
from functools import cache

from fashion_lightning.data.classes import CLASS_NAMES, WHAT_IT_CANNOT_KNOW
from fashion_lightning.photographs.files import FORMATS
from fashion_lightning.report.page import render
from fashion_lightning.serving.limits import Limits
from fashion_lightning.version import __version__


def page(model: str, limits: Limits) -> bytes:
    """Return the HTML.

    Args:
        model: the name of the classifier.
        limits: the bytes that a picture may have.
    """
    return render(
        "serve.html",
        model=model,
        version=__version__,
        cannot_know=WHAT_IT_CANNOT_KNOW,
        classes=CLASS_NAMES,
        formats=list(FORMATS),
        megabytes=limits.bytes / 1e6,
        style=_asset("serve.css"),
        script=_asset("serve.js"),
    )


def policy() -> str:
    """Return a Content-Security-Policy that allows this style and script, and requests to this server only."""
    style, script = (
        base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode() for name in ("serve.css", "serve.js")
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _asset(name: str) -> str:
    return render(name).decode()
